"""Measured NPUs that the cost models are learned from: the files, and what measures them."""
