"""Quantisation after training: float weights get codes and scales from example images.

inputs (the values of a file's input as codes of ours), answers (its outputs in a task's units),
joint (several outputs in one layer), loading (the network with float weights), own (float weights
of networks of ours), calibrating (scales and biases), equalising (of channels between layers),
sensitivity (what each layer's bits cost), choice (bits per layer within an
average), cutting (of channels).
"""

__all__ = [
    "answers",
    "calibrating",
    "choice",
    "cutting",
    "inputs",
    "joint",
    "loading",
    "own",
    "sensitivity",
]
