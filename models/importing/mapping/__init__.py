"""Mapping of the neutral graph of a file to stages: layers in the making.

host (what is left to it, where a part ends), walk (along the nodes); what maps a node: moves,
borders, convolutions, sums and their kernels, products, pools, channels, rounding; layouts (where
values lie) and phases (of finer maps), stages.
"""

__all__ = [
    "borders",
    "channels",
    "convolutions",
    "host",
    "kernels",
    "layouts",
    "moves",
    "phases",
    "pools",
    "products",
    "rounding",
    "stages",
    "sums",
    "walk",
]
