"""Shipped synthesis and place-and-route results that the cost models are fitted to, as CSV files.

dataset (resources of whole NPUs), module_data (resources of their Verilog modules), timing_data
(clock frequencies), config_csv (the common file format).
"""

__all__ = [
    "config_csv",
    "dataset",
    "module_data",
    "timing_data",
]
