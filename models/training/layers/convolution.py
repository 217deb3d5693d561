"""Padding and convolution in torch, as layer specifications state them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from models.graph.layers import AvgPool, Conv2d, LayerSpec, MaxPool, Pair


def padded(
    values: Tensor, spec: Conv2d | MaxPool | AvgPool, fill: float = 0.0
) -> tuple[Tensor, Pair]:
    """Return the values (n, C, H, W) with what torch's operators cannot pad, and what they shall.

    That is (rows, columns) on both sides; (0, 0) where sides differ or windows go beyond the
    padding (ceil_mode), as ``values`` are then padded with ``fill`` as far as windows reach.
    """
    ceils = not isinstance(spec, Conv2d) and spec.ceil_mode
    if len(spec.padding) == 2 and not ceils:
        return values, spec.padding
    rows, cols = spec.axes((values.shape[1], values.shape[2], values.shape[3]))
    margins = (cols.before, max(cols.margin, 0), rows.before, max(rows.margin, 0))
    return F.pad(values, margins, value=fill), (0, 0)


def convolve(spec: LayerSpec, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve values (n, C, H, W) as a conv2d states, or (a linear layer) over the whole map.

    weight: (out, C / groups, rows, columns); bias: (out,).
    """
    if not isinstance(spec, Conv2d):
        return F.conv2d(values, weight, bias)
    values, padding = padded(values, spec)
    return F.conv2d(values, weight, bias, spec.stride, padding, spec.dilation, spec.groups)
