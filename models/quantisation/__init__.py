"""Bits and sparsity of every layer, and their imitation in training.

plan (QuantSpec, Quantisation, the bits of every tensor), yaml (file format), sparsity (N:M
patterns), blocks (weights that are zero together), masks (N:M in training), fake_quantisers
(learned scales), learned_thresholds (where codes begin), accumulators (what keeps sums within
them).
"""

__all__ = [
    "accumulators",
    "blocks",
    "fake_quantisers",
    "learned_thresholds",
    "masks",
    "plan",
    "sparsity",
    "yaml",
]
