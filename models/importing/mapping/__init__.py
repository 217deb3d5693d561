"""Mapping of the neutral graph of a file to stages: layers in the making.

host (what is left to it at the end), walk (along the nodes), operators (which function maps which
node), unknown (what would do for all others): moves, constants, sums and its kernels, pools,
channels, rounding; layouts (where values lie), stages, cuts (where a part of the network ends).
"""

__all__ = [
    "channels",
    "constants",
    "cuts",
    "host",
    "kernels",
    "layouts",
    "moves",
    "operators",
    "pools",
    "rounding",
    "stages",
    "sums",
    "unknown",
    "walk",
]
