"""``python -m benchmarks.cost_models``: errors of the area, clock, accuracy and cycle models."""
