"""Strategies that train a neural network as they search; the only ones that need torch.

controller (an LSTM that is rewarded), progressive (an LSTM that predicts), autoencoder (a latent
space of graphs) and latent (Bayesian optimisation in it, with the network regression of dngo).
"""

__all__ = ["autoencoder", "controller", "dngo", "latent", "progressive"]
