"""Comparison with NNgen's accelerators, by the same tools: ``python -m benchmarks.peers``."""
