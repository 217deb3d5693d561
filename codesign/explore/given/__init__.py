"""Searches that start from a network with weights: its bits, what is cut of it, and its NPU.

reading (the network and its data), hot_start (the approach of the search), changes (what became of
each layer); folders and zoo (the same for several networks, one of which is chosen).
"""

__all__ = ["changes", "folders", "hot_start", "reading", "zoo"]
