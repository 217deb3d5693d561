"""Fake quantisation with learned scales (LSQ, arXiv 1902.08153) and straight-through gradients.

Scales are learned as logarithms: they stay positive, and an optimiser step changes them by the same
ratio whatever their size. Formulas: docs/explanation/arithmetic.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.arithmetic import MAX_SHIFT, weight_range

SMALLEST_SCALE = 1e-8
"""Lower limit of calibrated weight scales, and of the largest scale tried for activations."""
TIE = 2.0**-13
"""Offset in codes that is added before rounding, so that an exact half rounds up in spite of
float32's error (at most 2**-14 codes for 8-bit tensors). Averages and 1-bit weights yield many
exact halves."""
_CALIBRATION_POINTS = 40
"""Number of scales tried by a calibration of activations."""
_FIT_POINTS = 64
"""Number of steps up to the largest scale of weights, of which calibration tries seven eighths."""
_LIMIT_RATIO = 1.1
"""Ratio of further scales that are tried where weights are limited in their sums."""
_HALVINGS = 16
"""Steps of the search for the threshold that limits sums; its error is ``2**-16`` of a range."""
_CALIBRATION_VALUES = 65536
"""Number of values that an activation calibration samples; the step is rounded down, so it looks at
less than twice as many."""


def code_range(bits: int, signed: bool) -> tuple[int, int]:
    """Return the (least, largest) ``value / scale`` of an activation: its code minus zero point."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def round_half_up(values: Tensor) -> Tensor:
    """Return ``values`` rounded half up as hardware does; the gradient passes straight through."""
    return values + (torch.floor(values + 0.5) - values).detach()


@torch.no_grad()
def snapping(ratio: Tensor, scale_bits: int) -> Tensor:
    """Return the factor that moves each scale ratio to ``multiplier / 2**shift``.

    It rounds as arithmetic.nearest_scale does; a ratio beyond the largest multiplier with shift 1
    is moved to that. ratio: above 0 (not checked), any shape, which the factors have, too.
    """
    unit = torch.exp2(torch.clamp(torch.floor(torch.log2(ratio)) + 1 - scale_bits, -MAX_SHIFT, -1))
    largest = ((1 << scale_bits) - 1) / 2
    return torch.clamp(torch.round(ratio / unit) * unit, max=largest) / ratio


def learned(log_scale: Tensor, values: int, top: int) -> Tensor:
    """Return exp(log_scale), the scale, its gradient scaled by LSQ's ``1 / sqrt(values * top)``.

    log_scale: any shape, which the scales have, too; values: number of values that share a scale;
    top: the largest code.
    """
    scale = torch.exp(log_scale)
    share = 1 / math.sqrt(values * top)
    return scale * share + (scale * (1 - share)).detach()


class InputQuantiser(nn.Module):
    """Quantiser of pixels 0..255 to ``2**bits`` codes, rounded half up, and their real values.

    The step between codes is ``1 / (2**bits - 1)``, and ``zero_point`` the code of the value 0.

    >>> InputQuantiser(bits=2)(torch.tensor([0, 80, 255])).mul(3)
    tensor([0., 1., 3.])
    """

    def __init__(self, bits: int, zero_point: int = 0) -> None:
        super().__init__()
        self.top, self.zero_point = (1 << bits) - 1, zero_point
        self.register_buffer("scale", torch.tensor(1 / self.top), persistent=False)
        self.scale: Tensor

    def forward(self, pixels: Tensor) -> Tensor:
        codes = torch.floor(pixels.float() * (self.top / 255) + 0.5)
        return (codes - self.zero_point) / self.top


class ActivationQuantiser(nn.Module):
    """Activation quantiser with one learned scale per tensor (or for all inputs of a concat).

    >>> quantiser = ActivationQuantiser(bits=2, signed=False)  # its scale is 1 at first
    >>> quantiser(torch.tensor([[-1.0, 0.4, 1.6, 9.0]])).detach()
    tensor([[0., 0., 2., 3.]])
    """

    def __init__(self, bits: int, signed: bool) -> None:
        super().__init__()
        self.low, self.high = code_range(bits, signed)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        scale = learned(self.log_scale, values[0].numel(), max(self.high, 1))
        codes = round_half_up(torch.clamp(values / scale + TIE, self.low, self.high))
        return codes * scale

    @property
    def scale(self) -> Tensor:
        """Scale as a scalar tensor without gradient."""
        return torch.exp(self.log_scale.detach())

    @torch.no_grad()
    def calibrate(self, values: Tensor) -> None:
        """Set the scale with the least mean squared error on ``values``, of 40 candidates.

        They are even steps up to the largest magnitude divided by the largest code's. Of many
        values an evenly spaced sample is used.
        """
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
    """Symmetric signed weight quantiser with a learned scale per output channel or per tensor.

    1-bit weights are {-1, +1} * scale; a weight of 0 gives +1, or 0 if ``sparse`` is set. ``most``,
    which 1-bit weights do not have, limits the sums of an output channel's positive codes and of
    its negative ones: all of them move towards 0 by the same least amount before they are rounded,
    which has the least squared error of all codes within the limit.

    >>> quantiser = WeightQuantiser(bits=3, channels=2, per_channel=True)
    >>> quantiser.codes(torch.tensor([-9.0, 1.2]).reshape(2, 1, 1, 1)).flatten()
    tensor([-3,  1])
    """

    def __init__(
        self,
        bits: int,
        channels: int,
        per_channel: bool,
        sparse: bool = False,
        most: int | None = None,
    ) -> None:
        super().__init__()
        self.bits, self.sparse, self.most = bits, sparse, most
        self.low, self.high = weight_range(bits)
        self.ends: tuple[Any, Any] = (self.low, self.high)
        self.log_scale = nn.Parameter(torch.zeros(channels if per_channel else 1, 1, 1, 1))

    def narrow(self, first: int, bits: int) -> None:
        """Restrict the codes of the output channels from ``first`` on to ``bits`` bits.

        first: counted from 0, itself restricted. There must be a scale per channel (not checked). A
        second call replaces the first.
        """
        top = torch.full_like(self.log_scale.detach(), self.high)
        top[first:] = weight_range(bits)[1]
        self.ends = (-top, top)

    def forward(self, weights: Tensor) -> Tensor:
        scale = learned(self.log_scale, weights.numel() // self.log_scale.numel(), self.high)
        ratio = weights / scale
        if self.most is None:
            moved = ratio
        else:
            moved = _limited(ratio, self.most, self.ends)
            # As far as gradients go, a larger scale moves no weight.
            ratio = (weights - ((ratio - moved) * scale).detach()) / scale
        scaled = torch.clamp(ratio, *self.ends)
        codes = scaled + (self._round(torch.clamp(moved, *self.ends)) - scaled).detach()
        return codes * scale

    def _round(self, scaled: Tensor) -> Tensor:
        if self.bits == 1 and self.sparse:
            return torch.sign(scaled)
        if self.bits == 1:
            return torch.where(scaled < 0, -1.0, 1.0).to(scaled.dtype)
        return torch.floor(scaled + 0.5)

    @torch.no_grad()
    def codes(self, weights: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return the integers, int64 like ``weights``, that ``forward`` multiplies by the scale.

        scale: (channels or 1, 1, 1, 1), another one; None: the learned one.
        """
        ratio = weights / (self.scale if scale is None else scale)
        if self.most is not None:
            ratio = _limited(ratio, self.most, self.ends)
        return self._round(torch.clamp(ratio, *self.ends)).to(torch.int64)

    @property
    def scale(self) -> Tensor:
        """Scale of shape (channels or 1, 1, 1, 1) without gradient."""
        return torch.exp(self.log_scale.detach())

    @torch.no_grad()
    def calibrate(self, weights: Tensor) -> None:
        """Set the scales with the least squared error on ``weights``, shape (out, in, rows, cols).

        They are the best of even steps up to that at which no weight is clipped; for 1 bit
        ``mean(|w|)``, pruned weights, which are exactly 0, left out. LSQ's own start, ``2 *
        mean(|w|) / sqrt(top)``, leaves most codes of 4 and 8 bits unused.
        """
        dims = (1, 2, 3) if self.log_scale.numel() > 1 else (0, 1, 2, 3)
        magnitudes = weights.abs()
        if self.bits == 1:
            present = (weights != 0).sum(dim=dims, keepdim=True)
            best = magnitudes.sum(dim=dims, keepdim=True) / present.clamp_min(1)
            self.log_scale.copy_(torch.log(best.clamp_min(SMALLEST_SCALE)))
            return
        top = self.ends[1]
        widest = magnitudes.amax(dim=dims, keepdim=True) / top
        best = widest.clamp_min(SMALLEST_SCALE)
        least = torch.full_like(best, math.inf)
        for point in self._fit_points():
            scale = (widest * point / _FIT_POINTS).clamp_min(SMALLEST_SCALE)
            if self.most is None:
                codes = torch.clamp(torch.floor(magnitudes / scale + 0.5), max=top)
            else:
                codes = self.codes(weights, scale).abs()
            error = ((codes * scale - magnitudes) ** 2).sum(dim=dims, keepdim=True)
            best = torch.where(error < least, scale, best)
            least = torch.minimum(error, least)
        self.log_scale.copy_(torch.log(best))

    def _fit_points(self) -> Iterator[float]:
        """Yield the scales that ``calibrate`` tries, in units of the widest's ``_FIT_POINTS``-th.

        Few weights of a limited sum fit at that one: then larger scales are tried, too, up to that
        of codes -1, 0 and 1 alone.
        """
        yield from range(_FIT_POINTS, _FIT_POINTS // 8, -1)
        point = _FIT_POINTS * _LIMIT_RATIO
        while self.most is not None and point < _FIT_POINTS * self.high:
            yield point
            point *= _LIMIT_RATIO


@torch.no_grad()
def _limited(ratio: Tensor, most: int, ends: tuple[Any, Any]) -> Tensor:
    """Return weights whose positive and negative codes add up to ``most`` at most in each channel.

    ratio: (out, in, rows, cols), in codes. Every weight of one sign moves towards 0 by the least
    amount that is enough, or as far as 0 (soft thresholding: the Euclidean projection on a ball of
    the L1 norm). That of a sign whose codes fit is 0. ends: as WeightQuantiser.ends.
    """
    moved = torch.zeros_like(ratio)
    for sign in (1.0, -1.0):
        sizes = torch.clamp(sign * ratio, min=0.0)
        least = torch.zeros_like(sizes[:, :1, :1, :1])
        enough = sizes.amax(dim=(1, 2, 3), keepdim=True) + 1
        for step in range(_HALVINGS + 1):
            amount = (least + enough) / 2 if step else least
            left = sign * torch.clamp(sizes - amount, min=0.0)
            codes = torch.floor(torch.clamp(left, *ends) + 0.5)
            fits = codes.sum(dim=(1, 2, 3), keepdim=True).abs() <= most
            enough = torch.where(fits, amount, enough)
            least = torch.where(fits, least, amount)
        moved += sign * torch.clamp(sizes - enough, min=0.0)
    return moved
