"""Recurrent cells unrolled over time: LSTM, GRU and plain cells as stages of linear layers.

weights (what a node says, checked), unrolling (steps, directions and outputs of a node), cells (the
stages of one step), making (stages of a cell).
"""

__all__ = ["cells", "making", "unrolling", "weights"]
