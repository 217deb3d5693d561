"""The sweep: random networks on random NPUs, simulated in Verilator against the reference.

``python -m tests.sweep`` runs it (docs/explanation/sweep.md). domain holds the ranges of
everything drawn, cases draws the case of a seed, simulate runs and shrinks it, record keeps the
results, summary prints them.
"""
