"""The integer network: the computation that hardware must reproduce, bit for bit.

lower (from a graph, or a trained network, to integers), assemble (its structure), freeze (learned
scales to integer multipliers and shifts), thaw (the other way), frozen (the same network in real
values), network (IntegerNetwork), reference (runs it in numpy), files (on disk), checks (of what a
file holds), lookups (tables of activation functions), bits (zeros and ones of its weights), scaling
(of weights from elsewhere), parts (several outputs).
"""

__all__ = [
    "assemble",
    "bits",
    "checks",
    "files",
    "freeze",
    "frozen",
    "lookups",
    "lower",
    "network",
    "parts",
    "reference",
    "scaling",
    "thaw",
]
