"""Mapping of the neutral graph of a file to stages: layers in the making.

host (what is left to it at the end), walk (along the nodes), operators (which function maps which
node): moves, constants, sums, pools, channels, rounding; layouts (where values lie), stages;
unknown (what would do instead of an operator).
"""

__all__ = [
    "channels",
    "constants",
    "host",
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
