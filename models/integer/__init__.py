"""The integer network: what hardware must compute, bit for bit.

lower (from a graph, or a trained network, to integers), assemble (its structure), freeze (scales
learned in training to integer multipliers and shifts), frozen (the same in real values), network
(IntegerNetwork), reference (runs it in numpy), files (on disk), bits (zeros and ones of its
weights).
"""

__all__ = [
    "assemble",
    "bits",
    "files",
    "freeze",
    "frozen",
    "lower",
    "network",
    "reference",
]
