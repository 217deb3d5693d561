"""``python -m benchmarks.networks``: how busy known networks keep the array."""
