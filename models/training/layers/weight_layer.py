"""Trainable conv2d or linear layer, in floating point and in hardware's arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.arithmetic import weight_range
from models.errors import ModelError
from models.graph.layers import Conv2d, Linear
from models.graph.network import Layer, NetworkGraph
from models.quantisation.accumulators import SumLimits
from models.quantisation.fake_quantisers import (
    SMALLEST_SCALE,
    WeightQuantiser,
    round_half_up,
    snapping,
)
from models.quantisation.masks import masked
from models.quantisation.sparsity import Sparsity
from models.training.layers.convolution import convolve


class WeightLayer(nn.Module):
    """Trainable conv2d or linear layer; a linear one is a convolution as large as its input.

    Made by ``QuantNetwork``.
    """

    def __init__(
        self,
        graph: NetworkGraph,
        layer: Layer,
        bits: int,
        scale_bits: int,
        sparsity: Sparsity | None,
        limits: SumLimits | None = None,
    ) -> None:
        """limits: what weights and biases keep to, if there is one.

        Raises ModelError for limits that they cannot keep to.
        """
        super().__init__()
        self.scale_bits, self.sparsity, self.limits = scale_bits, sparsity, limits
        spec = layer.spec
        channels, rows, cols = graph.shapes[layer.inputs[0]]
        out = graph.shapes[layer.name][0]
        assert isinstance(spec, Conv2d | Linear)
        self.spec, self.relu = spec, spec.relu
        self.groups = spec.groups if isinstance(spec, Conv2d) else 1
        kernel = spec.kernel if isinstance(spec, Conv2d) else (rows, cols)
        self.weight = nn.Parameter(torch.empty(out, channels // self.groups, *kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu" if spec.relu else "linear")
        self.bias = nn.Parameter(torch.zeros(out))
        self.batch_norm = nn.BatchNorm2d(out) if spec.batch_norm else None
        # One scale for the whole output layer, so that its accumulators compare as logits.
        self.last = layer.name == graph.output.name
        most = self._most(layer.name, bits)
        self.quantiser = WeightQuantiser(bits, out, not self.last, sparsity is not None, most)

    @property
    def products(self) -> int:
        """Products of an output value whose weights need not be 0."""
        channels, *kernel = self.weight.shape[1:]
        kept = self.sparsity.kept_of(channels) if self.sparsity else channels
        return kept * math.prod(kernel)

    def _most(self, name: str, bits: int) -> int | None:
        """Return WeightQuantiser.most; None where any weights fit. Raises ModelError."""
        if self.limits is None or self.products * weight_range(bits)[1] <= self.limits.weights:
            return None
        if bits > 1 and self.limits.weights > 0:
            return self.limits.weights
        what = "any product" if bits > 1 else "its 1-bit weights, which training cannot make fewer"
        width = self.limits.accumulator.bits
        raise ModelError(f"layer {name}: accumulators of {width} bits do not hold {what}")

    def kept_weight(self) -> Tensor:
        """Return the weights, masked by the sparsity if there is one."""
        return self.weight if self.sparsity is None else masked(self.weight, self.sparsity)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the layer in floating point, with batch norm unless folded, and ReLU.

        inputs: one tensor (n, C, H, W).
        """
        bias = None if self.batch_norm else self.bias
        out = convolve(self.spec, inputs[0], self.kept_weight(), bias)
        if self.batch_norm is not None:
            out = self.batch_norm(out)
        return F.relu(out) if self.relu else out

    def sums(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the sums of products (n, C, H, W) of input values with any weights, no bias."""
        return convolve(self.spec, values, weight, None)

    def quantised(
        self, inputs: Sequence[Tensor], scales: Sequence[Tensor], out_scale: Tensor | None
    ) -> Tensor:
        """Compute the layer with hardware's weights and bias, on the grid of snapped scales.

        The caller quantises the result. inputs, scales: a tensor and its scale each. out_scale:
        scale of the result; None where it is not requantised (yet), and scales then stay as
        learned. A batch norm that is not folded yet normalises the sums, and no scale is snapped.
        """
        scale = self.quantiser.scale
        weight = self.quantiser(self.kept_weight())
        if self.batch_norm is not None:
            out = self.batch_norm(convolve(self.spec, inputs[0], weight, None))
            return F.relu(out) if self.relu else out
        if out_scale is not None:
            factor = snapping(scales[0] * scale / out_scale, self.scale_bits)
            scale, weight = scale * factor, weight * factor
        gain = (scales[0] * scale).flatten()
        units = round_half_up(self.bias / gain)
        if self.limits is not None:
            units = units + (self._within(units, weight / scale) - units).detach()
        out = convolve(self.spec, inputs[0], weight, units * gain)
        if self.last:
            # Equal accumulators must give equal logits: float32's error would rank them.
            return round_half_up(out / gain[0]) * gain[0]
        return F.relu(out) if self.relu else out

    @torch.no_grad()
    def _within(self, units: Tensor, codes: Tensor) -> Tensor:
        """Return biases (out,), in accumulator units, within the limits beside weight codes."""
        assert self.limits is not None
        codes = torch.round(codes)
        sums = [part.clamp(min=0).sum(dim=(1, 2, 3)) for part in (codes, -codes)]
        return units.clamp(*self.limits.biases(*sums))

    @torch.no_grad()
    def fold(self) -> None:
        """Fold the batch norm's running statistics into weight and bias in place, and remove it.

        Weight scales follow, so that the codes of quantised weights stay as they are but for the
        sign of channels whose factor is negative. A layer without batch norm stays as it is.
        """
        norm = self.batch_norm
        if norm is None:
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        self.weight.mul_(factor[:, None, None, None])
        self.bias.copy_(norm.bias - norm.running_mean * factor)
        if self.quantiser.log_scale.numel() == len(factor):
            sizes = factor.abs().clamp_min(SMALLEST_SCALE)
            self.quantiser.log_scale.add_(torch.log(sizes)[:, None, None, None])
        self.batch_norm = None

    @torch.no_grad()
    def rescale(self, factor: float, offset: Tensor) -> None:
        """Let results become ``factor`` times what they were, plus ``offset``, in place.

        Weight codes stay as they are. factor: above 0. offset: (out,), or one for all channels.
        The layer is folded, has no ReLU, and nothing requantises its results (not checked).
        """
        self.weight.mul_(factor)
        self.bias.mul_(factor).add_(offset)
        self.quantiser.log_scale.add_(math.log(factor))

    @torch.no_grad()
    def unfold(self, inputs: Sequence[Tensor]) -> None:
        """Put a batch norm behind the quantised sums again, which leaves results as they are.

        So they are on ``inputs``, one tensor (n, C, H, W) of the layer's codes' values, and nearly
        so on others alike. Each channel's weights become as large as fresh ones, as a step changes
        weights by the same amount in all channels, and the scale with them.
        """
        fresh = math.sqrt(2 / self.weight[0].numel())
        size = self.weight.std(dim=(1, 2, 3), unbiased=False)
        grown = torch.where(size > SMALLEST_SCALE, fresh / size, 1.0)
        self.weight.mul_(grown[:, None, None, None])
        self.quantiser.log_scale.add_(torch.log(grown)[:, None, None, None])
        sums = self.sums(inputs[0], self.quantiser(self.kept_weight()))
        norm = nn.BatchNorm2d(len(grown))
        norm.running_var, norm.running_mean = torch.var_mean(sums, dim=(0, 2, 3), unbiased=False)
        norm.weight.copy_(torch.sqrt(norm.running_var + norm.eps) / grown)
        norm.bias.copy_(self.bias + norm.running_mean / grown)
        self.bias.zero_()
        self.batch_norm = norm
