"""Tools that simulation runs: where they are found, and what they are given.

verilator finds Verilator and what it needs; plain says which Verilog can do no more than compute,
and provenance what a build folder's manifest says of its Verilog.
"""

__all__ = ["plain", "provenance", "verilator"]
