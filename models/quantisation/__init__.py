"""Bits and sparsity: what is chosen for each layer, and how training imitates it.

plan (QuantSpec, Quantisation, the bits of every tensor), yaml (as a file), sparsity (N:M
patterns), blocks (weights that are zero together), masks (N:M in training), fake_quantisers
(learned scales).
"""

__all__ = [
    "blocks",
    "fake_quantisers",
    "masks",
    "plan",
    "sparsity",
    "yaml",
]
