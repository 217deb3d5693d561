"""Quantisation-aware training of one network in torch.

loop (train), schedule (settings, learning rates), choices (a user's), trained (the result and its
file), history (learning curves), distilling (training on from a calibrated
network), checkpoint (unfinished runs on disk), tensor_file (reading both
files), network with weight_layer, weightless and convolution (the trainable modules), pruning,
penalty and narrowing (zeros that hardware skips), speed (compilation and threads).
"""

__all__ = [
    "checkpoint",
    "choices",
    "convolution",
    "distilling",
    "history",
    "loop",
    "narrowing",
    "network",
    "schedule",
    "tensor_file",
    "trained",
    "weight_layer",
    "weightless",
]
