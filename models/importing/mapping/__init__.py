"""Mapping of the neutral graph of a file to stages: layers in the making.

host (what is left to it at the end), walk (along the nodes), operators (which function maps which
node): moves, constants, convolutions, sums and their kernels, pools, channels, rounding; layouts
(where values lie) and phases (of finer maps), stages, cuts (where a part of the network ends).
"""

__all__ = [
    "channels",
    "constants",
    "convolutions",
    "cuts",
    "host",
    "kernels",
    "layouts",
    "moves",
    "operators",
    "phases",
    "pools",
    "rounding",
    "stages",
    "sums",
    "walk",
]
