"""Exact cycles of whole batches of networks: the compiler's schedule in closed form, compiled.

layers (networks as columns), tiles, strips and plans (the same choices as the compiler's
mapping), schedule (cycles and depths), compiled (numba).
"""

__all__ = [
    "compiled",
    "layers",
    "schedule",
]
