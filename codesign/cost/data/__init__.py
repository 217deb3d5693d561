"""Synthesis and placement results that the cost models learn from, and how they are made.

sampling (which NPUs), measuring and characterize (synthesis), placements (clock), dataset,
module_data, timing_data and config_csv (the shipped CSV files).
"""

__all__ = [
    "characterize",
    "config_csv",
    "dataset",
    "measuring",
    "module_data",
    "placements",
    "sampling",
    "timing_data",
]
