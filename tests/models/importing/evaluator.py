"""Stages in real numbers, and integer networks layer by layer from given codes: for comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.importing.mapping import borders
from models.importing.mapping.stages import Stage
from models.importing.mapping.walk import INPUT, Walk


def _padded(values: Any, pads: tuple[int, ...], fill: float) -> Any:
    top, left, bottom, right = pads
    return np.pad(values, ((0, 0), (top, bottom), (left, right)), constant_values=fill)


def _windows(values: Any, kernel: Any, stride: Any, places: Any, fill: float) -> Any:
    """Windows (channels, rows, cols, kernel rows, kernel cols); beyond the map: ``fill``."""
    reach = [(places[i] - 1) * stride[i] + kernel[i] - values.shape[1 + i] for i in (0, 1)]
    values = _padded(values, (0, 0, max(reach[0], 0), max(reach[1], 0)), fill)
    view = np.lib.stride_tricks.sliding_window_view(values, kernel, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]][:, : places[0], : places[1]]


def _products(stage: Stage, values: Any, kernel: Any) -> Any:
    windows = _windows(
        _padded(values, stage.pads, 0), kernel.shape[2:], stage.stride, stage.shape[1:], 0
    )
    groups = stage.groups if stage.op in ("conv2d", "linear") else stage.shape[0]
    out, ins = len(kernel) // groups, len(values) // groups
    parts = [
        np.einsum(
            "crsij,ocij->ors", windows[g * ins : (g + 1) * ins], kernel[g * out : (g + 1) * out]
        )
        for g in range(groups)
    ]
    return np.concatenate(parts)


def real(stage: Stage, inputs: list[Any]) -> Any:
    """The result of a stage for its inputs (channels, rows, columns), not rounded."""
    if stage.op == "concat":
        return np.concatenate(inputs)
    if stage.op == "max_pool":
        window = stage.window
        padded = _padded(inputs[0], window.pads, -np.inf)
        found = _windows(padded, window.kernel, window.stride, stage.shape[1:], -np.inf)
        return found.max(axis=(3, 4))
    if stage.curve:
        return np.clip(stage.curve.values(inputs[0]), *stage.clip)
    total = inputs[0] if stage.op == "scale" else 0
    for values, kernel in zip(inputs, stage.kernels, strict=stage.op != "scale"):
        total = total + _products(stage, values, kernel.values)
    found = total * stage.gain[:, None, None] + stage.bias[:, None, None]
    return np.clip(found, *stage.clip)


def run(walk: Walk, values: Any, output: str) -> Any:
    """The output of a file of real numbers for one input, by way of its stages."""
    found: dict[str, Any] = {}
    walk.index(walk.values[next(iter(walk.graph.inputs))])
    value = borders.filled(walk, walk.values[output], output)
    for name, stage in walk.stages.items():
        if name == INPUT:
            laid = np.ravel(values)[walk.input_order].reshape(stage.shape)
            found[name] = laid * stage.gain[:, None, None] + stage.bias[:, None, None]
        else:
            found[name] = real(stage, [found[source] for source in stage.inputs])
    return found[value.stage].ravel()[walk.index(value)]


def codes_from(walk: Walk, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Codes of stages from those of a file's tensors (int8 q as q + 128), each of one image."""
    found = {}
    for name, q in tensors.items():
        if name in walk.values:
            value = walk.values[name]
            stage = walk.stages[value.stage]
            flat = np.zeros(int(np.prod(stage.shape)), np.int64)
            flat[walk.index(value).ravel()] = np.ravel(q).astype(np.int64) + 128
            found[value.stage] = flat.reshape(1, *stage.shape)
    return found
