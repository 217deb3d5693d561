"""``python -m benchmarks.peers``: images per second and LUT beside NNgen, from the same tools."""
