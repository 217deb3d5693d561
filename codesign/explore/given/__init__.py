"""Searches that start from a network with weights: its bits, what is cut of it, and its NPU.

reading (the network and its data), hot_start (the approach of the search).
"""

__all__ = ["hot_start", "reading"]
