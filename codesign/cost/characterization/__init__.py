"""Generation of training data for the cost models: sample NPUs, synthesise them, place and route.

sampling (choice of NPUs), measuring (resumable runs on several processes), characterize
(synthesis), placements (place and route).
"""

__all__ = [
    "characterize",
    "measuring",
    "placements",
    "sampling",
]
