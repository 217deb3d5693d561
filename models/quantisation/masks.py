"""N:M masks in training: the weights of largest magnitude in each group, chosen at every step.

SR-STE (Zhou et al., Learning N:M Fine-grained Structured Sparse Neural Networks From Scratch, ICLR
2021, arXiv 2102.04010): the forward pass uses masked weights, the gradient passes straight through
to all weights, and the masked ones decay, so that a choice lasts unless the loss opposes it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from models.quantisation.sparsity import Sparsity

DECAY = 2e-4
"""Share of a masked weight that is added to its gradient (lambda_W in the paper)."""


@torch.no_grad()
def mask(weights: Tensor, sparsity: Sparsity) -> Tensor:
    """Return a mask, True at the N weights of largest magnitude in each group; of equals the first.

    weights: (out_channels, in_channels, kernel_rows, kernel_cols), as is the mask (bool). Groups
    are of M input channels from channel 0 on, per output channel and kernel position; the last may
    have fewer.
    """
    channels = weights.shape[1]
    padding = (0, 0, 0, 0, 0, -channels % sparsity.group)
    sizes = F.pad(weights.abs(), padding, value=-1.0).unflatten(1, (-1, sparsity.group))
    one, other = sizes.unsqueeze(3), sizes.unsqueeze(2)
    place = torch.arange(sparsity.group, device=weights.device)
    earlier = (place < place[:, None])[:, :, None, None]
    rank = ((other > one) | ((other == one) & earlier)).sum(dim=3)
    return (rank < sparsity.kept).flatten(1, 2)[:, :channels]


class _Masked(Function):
    @staticmethod
    def forward(weights: Tensor, kept: Tensor) -> Tensor:
        return weights * kept

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def, override]
        weights, kept = ctx.saved_tensors
        return gradient + DECAY * ~kept * weights, None


def masked(weights: Tensor, sparsity: Sparsity) -> Tensor:
    """Return ``weights`` with zeros outside their ``mask``; the gradient is SR-STE's."""
    result: Tensor = _Masked.apply(weights, mask(weights, sparsity))  # type: ignore[no-untyped-call]
    return result
