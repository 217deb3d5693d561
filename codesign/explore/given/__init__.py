"""Searches that start from a network with weights: its bits and its NPU are found, it is kept."""

__all__ = ["hot_start"]
