"""Fake quantisation with learned scales (step sizes of LSQ, arXiv 1902.08153), straight-through.

Scales are learned as logarithms: they stay positive, and an optimiser's step changes them by
the same ratio whatever their size. Formulas: docs/arithmetic.md.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from models.arithmetic import MAX_SHIFT, weight_range

SMALLEST_SCALE = 1e-8
"""Scale of a tensor that is all zero."""
TIE = 2.0**-13
"""Codes added before rounding, so that a sum exactly half way rounds up in spite of float32's
error (at most 2**-14 codes for 8-bit tensors). Averages and 1-bit weights meet many."""
_CALIBRATION_POINTS = 40
_CALIBRATION_VALUES = 65536


def code_range(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest code (``value / scale``) of an activation tensor."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def round_half_up(values: Tensor) -> Tensor:
    """As hardware rounds; the gradient passes straight through."""
    return values + (torch.floor(values + 0.5) - values).detach()


@torch.no_grad()
def snapping(ratio: Tensor, scale_bits: int) -> Tensor:
    """Factor that moves each scale to ``multiplier / 2**shift``, as arithmetic.nearest_scale."""
    unit = torch.exp2(torch.clamp(torch.floor(torch.log2(ratio)) + 1 - scale_bits, -MAX_SHIFT, -1))
    largest = ((1 << scale_bits) - 1) / 2
    return torch.clamp(torch.round(ratio / unit) * unit, max=largest) / ratio


def _learned(log_scale: Tensor, values: int, top: int) -> Tensor:
    """The scale, its gradient scaled by LSQ's ``1 / sqrt(values * top)``."""
    scale = torch.exp(log_scale)
    share = 1 / math.sqrt(values * top)
    return scale * share + (scale * (1 - share)).detach()


class InputQuantiser(nn.Module):
    """Pixels 0..255 to real values 0..1 on a grid of ``2**bits - 1`` steps."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.top = (1 << bits) - 1
        self.register_buffer("scale", torch.tensor(1 / self.top), persistent=False)
        self.scale: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.floor(pixels.float() * (self.top / 255) + 0.5) / self.top


class ActivationQuantiser(nn.Module):
    """One scale for a whole tensor (or for all inputs of a concat)."""

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        self.low, self.high = code_range(bits, signed)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        scale = _learned(self.log_scale, values[0].numel(), max(self.high, 1))
        codes = round_half_up(torch.clamp(values / scale + TIE, self.low, self.high))
        return codes * scale

    @property
    def scale(self) -> Tensor:
        """Without gradient."""
        return torch.exp(self.log_scale.detach())

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set the scale that loses least (mean square) on ``values``."""
        flat = values.flatten()
        flat = flat[:: max(1, len(flat) // _CALIBRATION_VALUES)]
        widest = max(float(flat.abs().max()) / max(self.high, -self.low), SMALLEST_SCALE)
        best = (math.inf, widest)
        for point in range(1, _CALIBRATION_POINTS + 1):
            scale = widest * point / _CALIBRATION_POINTS
            codes = torch.clamp(torch.floor(flat / scale + 0.5), self.low, self.high)
            best = min(best, (float(((codes * scale - flat) ** 2).mean()), scale))
        self.log_scale.fill_(math.log(best[1]))


class WeightQuantiser(nn.Module):
    """Signed symmetric weights; one scale per output channel, or one for the tensor.

    1 bit is {-1, +1} * scale; where ``sparse`` masks weights, zeros stay 0.
    """

    def __init__(self, bits: int, channels: int, per_channel: bool, sparse: bool = False) -> None:
        super().__init__()
        self.bits, self.sparse = bits, sparse
        self.low, self.high = weight_range(bits)
        self.ends: tuple[Any, Any] = (self.low, self.high)
        self.log_scale = nn.Parameter(torch.zeros(channels if per_channel else 1, 1, 1, 1))

    def narrow(self, first: int, bits: int) -> None:
        """Give the output channels from ``first`` on only ``bits`` bits, in training."""
        top = torch.full_like(self.log_scale.detach(), self.high)
        top[first:] = weight_range(bits)[1]
        self.ends = (-top, top)

    def forward(self, weights: Tensor) -> Tensor:
        scale = _learned(self.log_scale, weights.numel() // self.log_scale.numel(), self.high)
        scaled = torch.clamp(weights / scale, *self.ends)
        codes = scaled + (self._round(scaled) - scaled).detach()
        return codes * scale

    def _round(self, scaled: Tensor) -> Tensor:
        if self.bits == 1 and self.sparse:
            return torch.sign(scaled)
        if self.bits == 1:
            return torch.where(scaled < 0, -1.0, 1.0).to(scaled.dtype)
        return torch.floor(scaled + 0.5)

    @torch.no_grad()
    def codes(self, weights: Tensor) -> Tensor:
        """The integers that ``forward`` multiplies with the scale, as int64."""
        scaled = torch.clamp(weights / self.scale, *self.ends)
        return self._round(scaled).to(torch.int64)

    @property
    def scale(self) -> Tensor:
        """[channels or 1, 1, 1, 1]"""
        return torch.exp(self.log_scale.detach())

    @torch.no_grad()
    def calibrate(self, weights: Tensor) -> None:
        """LSQ's start: ``2 * mean(|w|) / sqrt(top)``; for 1 bit, the mean loses least.

        The mean is of the weights that are there: pruned ones are exactly 0.
        """
        mean = weights.abs().mean(dim=(1, 2, 3), keepdim=True)
        present = (weights != 0).sum(dim=(1, 2, 3), keepdim=True)
        mean *= weights[0].numel() / present.clamp_min(1)
        if self.log_scale.numel() == 1:
            mean = mean.mean(dim=0, keepdim=True)
        start = mean if self.bits == 1 else 2 * mean / math.sqrt(self.high)
        if isinstance(self.ends[1], Tensor):
            start = start * torch.sqrt(self.high / self.ends[1])
        self.log_scale.copy_(torch.log(start.clamp_min(SMALLEST_SCALE)))
