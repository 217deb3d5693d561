"""Networks of others: ONNX and TFLite files become networks of ours, or are refused by name.

readers (files to a neutral graph), mapping and recurrent (the graph to stages), operators (which
function maps which node); imports (the one entry point),
integers, fusing and numbers (stages to the integer network), floating (to a graph with float
weights), outputs and joining (several outputs as one last layer), ends (what a host does with
inputs and outputs), folder and stored_ends (on disk), programs (modules and programs of torch). It
knows no hardware.
"""

__all__ = ["ends", "floating", "folder", "imports", "integers", "numbers", "programs"]
