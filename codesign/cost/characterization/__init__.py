"""Making more of that data: NPUs sampled, synthesised and placed, every result kept as it comes.

sampling (which NPUs), measuring (resumable, on several processes), characterize (synthesis),
placements (clock).
"""

__all__ = [
    "characterize",
    "measuring",
    "placements",
    "sampling",
]
