"""Quantisation-aware training of one network in torch.

loop (train), schedule (settings, learning rates), choices (recipes, and a user's), trained (the
result and its file), matching (of network and data), history (learning curves), losses (beside that
on labels: one-bits, a teacher's answers), averaging (of the weights), checkpoint (unfinished runs
on disk), tensor_file (reading both files), network with its ``layers`` (the trainable modules),
pruning and narrowing (zeros that hardware skips), speed (compilation and threads).
"""

__all__ = [
    "averaging",
    "checkpoint",
    "choices",
    "history",
    "layers",
    "loop",
    "losses",
    "matching",
    "narrowing",
    "network",
    "schedule",
    "tensor_file",
    "trained",
]
