"""The hardware model of the ICCAD 2019 joint search, from its formulas, as published and corrected.

``.cost`` and ``.partition`` are the model, ``.designs`` its headline design, ``.reality`` that
network on our NPU; ``python -m benchmarks.naqs`` prints them side by side.
"""
