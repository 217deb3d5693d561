"""Searches that start from a network with weights: its bits, what is cut of it, and its NPU.

reading (the network and its data), hot_start (the approach of the search), changes (what became of
each layer).
"""

__all__ = ["changes", "hot_start", "reading"]
