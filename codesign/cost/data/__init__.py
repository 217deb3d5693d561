"""Synthesis and placement results that the cost models learn from, as shipped CSV files.

dataset (whole NPUs), module_data (their Verilog modules), timing_data (clocks), config_csv (the
format that they share).
"""

__all__ = [
    "config_csv",
    "dataset",
    "module_data",
    "timing_data",
]
