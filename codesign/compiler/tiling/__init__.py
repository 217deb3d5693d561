"""Feature maps that do not fit on the chip, computed band by band (loop tiling over rows).

bands (which rows each band needs), segments (layers that run band by band), segment_search (where
to cut), tiled (the schedule that results).
"""

__all__ = [
    "tiled",
]
