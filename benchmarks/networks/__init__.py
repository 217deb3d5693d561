"""Utilisation of the array by known networks: ``python -m benchmarks.networks``."""
