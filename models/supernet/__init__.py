"""Judging networks without training each: shared weights and zero-cost proxies.

network (one set of weights for a family of networks), training (of that set), proxies (figures of
an untrained network).
"""

__all__ = [
    "network",
    "proxies",
    "training",
]
