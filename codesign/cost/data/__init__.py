"""Measured data that the cost models are learned from."""
