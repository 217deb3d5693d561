"""Strategies that move distributions over the genes by gradients, all in NumPy.

relaxation (one-hot vectors of genes and mixtures of them), adam (steps along gradients), surrogate
(networks of the results told, through which gradients go), descent (what the strategies share),
gumbel (samples), clamped (mixtures driven to one value) and robust (several gradients at once).
"""

__all__ = ["adam", "clamped", "descent", "gumbel", "relaxation", "robust", "surrogate"]
