"""Errors of the area, timing, accuracy and cycle models: ``python -m benchmarks.cost_models``."""
