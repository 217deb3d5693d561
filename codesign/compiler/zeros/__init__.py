"""Dead-work elimination: programs without the taps and weight digits that are zero.

Weights that are zero together need neither cycles nor weight words. ``needs`` finds the nonzero
part of each output-channel tile; ``trim`` cuts layers between tiles and shrinks their loops.
"""

__all__ = [
    "trim",
]
