"""Accuracy estimates without training each network: weight sharing and zero-cost proxies.

network (a supernet: one set of weights for a family of networks), training (of that set), proxies
(scores of an untrained network).
"""

__all__ = [
    "network",
    "proxies",
    "training",
]
