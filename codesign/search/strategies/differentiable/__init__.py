"""Strategies that move distributions over the genes by gradients; they need torch.

relaxation (one-hot vectors of genes and mixtures of them), surrogate (networks of the results told,
through which gradients go), descent (what the strategies share), gumbel (samples), clamped
(mixtures driven to one value) and robust (several gradients at once).
"""

__all__ = ["clamped", "descent", "gumbel", "relaxation", "robust", "surrogate"]
