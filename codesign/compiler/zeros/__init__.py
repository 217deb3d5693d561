"""Work that zero weights make unnecessary, left out of the program.

needs (what a tile needs), trim (programs that walk no more than that).
"""

__all__ = [
    "trim",
]
