"""Unfolded images in columns: codesign.compiler.unfold for many networks at once."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from codesign.cost.layers import LayerTable

_COLUMNS = (
    "in_channels", "in_rows", "in_cols", "kernel_rows", "kernel_cols", "kept", "group", "stride",
    "step",
)  # fmt: skip
"""What unfolding changes, in the first slot."""


def unfolds(t: LayerTable, *, rows: bool) -> NDArray[np.bool_]:
    """[n] whether a dense first layer alone reads the image, through a kernel to unfold."""
    kernel = t.kernel_rows if rows else t.kernel_cols
    slots = np.arange(t.active.shape[1])
    others = np.any((t.skip == slots)[:, 1:] & (t.active[:, 1:] == 1), axis=1)
    dense = (t.diagonal[:, 0] == 0) & (t.sources[:, 0] == 1)
    return np.asarray(dense & ~others & (kernel[:, 0] > 1))


def unfolded(t: LayerTable, *, rows: bool) -> LayerTable:
    """The networks with their first layer's kernel columns (and rows) as input channels."""
    first = {name: getattr(t, name).copy() for name in _COLUMNS}
    first["in_channels"][:, 0] *= t.kernel_cols[:, 0]
    first["kernel_cols"][:, 0] = 1
    first["kept"][:, 0] = first["group"][:, 0] = 0
    first["in_cols"][:, 0] = t.conv_cols[:, 0]
    if rows:
        first["in_channels"][:, 0] *= t.kernel_rows[:, 0]
        first["kernel_rows"][:, 0] = 1
        first["in_rows"][:, 0] = t.conv_rows[:, 0]
        first["step"][:, 0] //= np.maximum(t.stride[:, 0], 1)
        first["stride"][:, 0] = 1
    return dataclasses.replace(t, **first)
