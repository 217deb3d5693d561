"""Quantisation-aware training of one network in torch.

loop (train), schedule (settings, learning rates), choices (a user's), trained (the result and its
file), history (learning curves), losses (beside that on labels: one-bits, a float network's
answers), averaging (of the weights), checkpoint (unfinished runs on disk), tensor_file (reading both files), network with
weight_layer, weightless and convolution (the trainable modules), pruning and narrowing (zeros that
hardware skips), speed (compilation and threads).
"""

__all__ = [
    "averaging",
    "checkpoint",
    "choices",
    "convolution",
    "history",
    "loop",
    "losses",
    "narrowing",
    "network",
    "schedule",
    "tensor_file",
    "trained",
    "weight_layer",
    "weightless",
]
