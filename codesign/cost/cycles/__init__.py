"""Cycle counts of batches of networks: the compiler's schedule in closed form.

layers (networks as columns), tiles, strips and plans (the mapping decisions of the compiler),
fetches (weights from memory), interval (images back to back), schedule (cycles and memory depths),
compiled (just-in-time compilation by numba).
"""

__all__ = [
    "compiled",
    "layers",
    "schedule",
]
