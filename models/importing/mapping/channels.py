"""Operators on each value by itself: clips, scales and offsets of channels, batch norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.importing.mapping import kernels, moves, products, sums
from models.importing.mapping.rounding import lies_like, new_scale
from models.importing.mapping.stages import UNCLIPPED, Curve, Kernel, Stage
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Node, Reals
from models.importing.readers.table import RefusalError, Row


def clip(walk: Walk, node: Node) -> Row:
    """Map Relu, Relu6 and Clip: the end of an open stage, or a layer of its own."""
    low, high = (0.0, math.inf) if node.op == "Relu" else _limits(walk, node)
    if not low < high:
        raise RefusalError(
            f"clips to {low:g}..{high:g}, which makes all values {high:g}", "min",
            "a min below the max",
        )  # fmt: skip
    return _limit(walk, node, walk.value(node), low, high)


def _limit(walk: Walk, node: Node, value: Value, low: float, high: float) -> Row:
    stage = walk.stages[value.stage]
    least, most = stage.grid.range() if stage.grid else UNCLIPPED
    if low <= least and high >= most:
        walk.put(node, value)
        return moves.row(walk, node, "clips nothing: its input has no such values")
    target = _open(walk, stage)
    if target is not None:
        target.clip_to(low, high)
        walk.put(node, value)
        return moves.row(walk, node, f"clips the layer to {low:g}..{high:g}")
    made = new_scale(walk, node, value)
    made.clip_to(low, high)
    walk.put(node, lies_like(walk, made, value))
    return sums.mapped(node, made)


def _open(walk: Walk, stage: Stage) -> Stage | None:
    """Return the open stage whose result a clip may limit: it commutes with max pooling."""
    if stage.is_open and stage.op == "max_pool":
        return _open(walk, walk.stages[stage.inputs[0]])
    return stage if stage.is_open and stage.op != "activation" else None


def _limits(walk: Walk, node: Node) -> tuple[float, float]:
    low, high = node.attributes.get("low", -math.inf), node.attributes.get("high", math.inf)
    found = []
    for position, value, what in ((1, low, "min"), (2, high, "max")):
        given = walk.constant(node, position, what)
        found.append(float(np.ravel(given.values)[0]) if given else float(value))
    return found[0], found[1]


def leaky(walk: Walk, node: Node) -> Row:
    """Map leaky ReLU and PReLU: max(x, 0) and max(-slope x, 0) of each channel, and their sum."""
    value = walk.value(node)
    slope: Any = float(node.attributes.get("alpha", 0.01))
    if node.op == "PRelu":
        found = walk.constant(node, 1, "slope")
        slope = found.values.astype(np.float64) if found else 0.0
        if found and found.values.ndim == 1 and value.index.ndim > 2 and found.values.size > 1:
            raise RefusalError("its slopes lie along the last axis", "slope", "one a channel")
    slope, _ = _by_channel(walk, value, slope, 0.0)
    if not np.isfinite(slope).all():
        raise RefusalError("its slopes are not finite (NaN or infinity)", "slope")
    stage = walk.stages[value.stage]
    name, channels = walk.name(node), stage.shape[0]
    joins = stage.is_open and stage.op in ("conv2d", "linear") and stage.clip == UNCLIPPED
    if not joins or stage.halves:
        stage.closed = True
        ones = np.ones((channels, 1, 1, 1), np.int64)
        kernel = Kernel(ones.astype(np.float64), ones, np.ones(channels))
        halves = walk.unused(f"{name}_halves")
        stage = Stage(halves, "conv2d", (stage.name,), stage.shape, (kernel,), channels)
        walk.add(stage)
    _double(stage, slope)
    signs = np.stack([np.ones(channels), -np.sign(slope)], 1).astype(np.int64)[:, :, None, None]
    both = Kernel(signs.astype(np.float64), signs, np.ones(channels))
    shape = (channels, *stage.shape[1:])
    made = Stage(name, "conv2d", (stage.name,), shape, (both,), channels, halves=True)
    stage.closed = True
    walk.put(node, walk.add(made, walk.index(value)))
    return sums.mapped(node, made)


def _double(stage: Stage, slope: Reals) -> None:
    """Make each channel x of a stage two: max(x, 0) and max(-|slope| x, 0)."""
    factors = np.stack([np.ones(len(slope)), -np.abs(slope)], 1).ravel()
    (kernel,) = stage.kernels
    scale = None if kernel.scale is None else np.repeat(kernel.scale, 2)
    twice = kernels.each(kernel, lambda array: np.repeat(array, 2, axis=0))
    stage.kernels = (Kernel(twice.values, twice.codes, scale),)
    stage.gain, stage.bias = (np.repeat(part, 2) * factors for part in (stage.gain, stage.bias))
    if stage.bias_codes is not None:
        codes, unit = stage.bias_codes
        exact = bool((np.abs(factors) == 1).all())
        stage.bias_codes = (np.repeat(codes, 2), np.repeat(unit, 2)) if exact else None
    stage.shape = (2 * len(slope), *stage.shape[1:])
    stage.clip_to(0.0, math.inf)


def hard_sigmoid(walk: Walk, node: Node) -> Row:
    """Map hard sigmoid: a scale, an offset, and the clip to 0..1."""
    value = walk.value(node)
    scale, offset = (node.attributes.get(k, d) for k, d in (("alpha", 0.2), ("beta", 0.5)))
    numbers = _by_channel(walk, value, np.array(scale), np.array(offset))
    affine(walk, node, value, *numbers)
    return _limit(walk, node, walk.values[node.outputs[0]], 0.0, 1.0)


CURVES = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "Swish": "silu", "HardSwish": "hard_swish",
    "Gelu": "gelu", "Elu": "elu", "Softplus": "softplus", "Mish": "mish",
}  # fmt: skip
"""Operator that is looked up in a table -> its function."""


def activation(walk: Walk, node: Node) -> Row:
    """Map an activation function: a table that the codes of the layer before are looked up in."""
    value, name = walk.value(node), CURVES[node.op]
    if node.attributes.get("alpha", 1.0) != 1.0:
        raise RefusalError(f"alpha {node.attributes['alpha']:g}", "alpha", "alpha 1")
    if node.attributes.get("approximate", "none") == "tanh":
        name = "gelu_tanh"
    walk.index(value)  # the input is laid out
    stage = walk.closed(value)
    made = Stage(walk.name(node), "activation", (stage.name,), stage.shape, curve=Curve(name))
    walk.add(made)
    walk.put(node, lies_like(walk, made, value))
    return sums.mapped(node, made)


def gated(walk: Walk, node: Node) -> Row:
    """Map the product of two maps; that of a map and its sigmoid is SiLU."""
    values = sums.operands(walk, node)
    for gate, value in (values, values[::-1]):
        stage = walk.stages[gate.stage]
        alone = walk.readers[node.inputs[values.index(gate)]] == 1
        own = stage.curve == Curve("sigmoid") and stage.inputs == (value.stage,) and alone
        if own and np.array_equal(walk.index(gate), walk.index(value)):
            stage.curve = Curve("sigmoid", stage.grid) if stage.grid else Curve("silu")
            stage.grid, stage.closed = None, False
            walk.put(node, gate)
            return moves.row(walk, node, "SiLU")
    return products.product(walk, node)


def affine(walk: Walk, node: Node, value: Value, gain: Reals, offset: Reals) -> Row:
    """Multiply each channel by ``gain`` and add ``offset``, both of the stage's (channels,)."""
    if not (np.isfinite(gain).all() and np.isfinite(offset).all()):
        raise RefusalError("its numbers are not finite (NaN or infinity)")
    stage = walk.stages[value.stage]
    if stage.op == "input" and stage.grid is None and not stage.closed:
        stage.scale_by(gain, offset)
        walk.put(node, value)
        return moves.row(walk, node, "the host scales the input", "host")
    if stage.takes_affine(gain, offset):
        stage.scale_by(gain, offset)
        if stage.clip != UNCLIPPED and np.ptp(gain) > 0 and math.isfinite(stage.clip[1]):
            raise RefusalError("scales channels of a clipped map differently")
        walk.put(node, value)
        return moves.row(walk, node, "part of the layer's scale and bias")
    made = new_scale(walk, node, value)
    made.scale_by(gain, offset)
    walk.put(node, lies_like(walk, made, value))
    return sums.mapped(node, made)


def batch_norm(walk: Walk, node: Node) -> Row:
    """Map batch norm: a scale and an offset of each channel."""
    value = walk.value(node)
    numbers = [
        walk.constant(node, position, what)
        for position, what in enumerate(("scale", "B", "mean", "var"), 1)
    ]
    # Up to ONNX 13 it is its further outputs, the moments of the batch, that say so.
    if None in numbers or node.attributes.get("training_mode", 0) or any(node.outputs[1:]):
        raise RefusalError("is in training mode", "training_mode", "export for inference")
    scale, shift, mean, variance = (np.ravel(n.values).astype(float) for n in numbers if n)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
    along = (1, -1, *[1] * (value.index.ndim - 2))
    gain, offset = factor.reshape(along), (shift - mean * factor).reshape(along)
    return affine(walk, node, value, *_by_channel(walk, value, gain, offset))


def _by_channel(walk: Walk, value: Value, gain: Any, offset: Any) -> tuple[Reals, Reals]:
    """Return numbers that broadcast to a tensor as those of its stage's channels."""
    index = walk.index(value)
    stage = walk.stages[value.stage]
    size = stage.shape[1] * stage.shape[2]
    found = []
    for numbers, default in ((gain, 1.0), (offset, 0.0)):
        try:
            spread = np.broadcast_to(np.asarray(numbers, np.float64), index.shape)
        except ValueError:
            raise RefusalError(
                f"a constant of shape {np.shape(numbers)} does not fit a map of {index.shape}",
                "shape",
            ) from None
        whole = np.full(stage.shape[0] * size, np.nan)
        whole[index.ravel()] = spread.ravel()
        if not np.array_equal(whole[index.ravel()], spread.ravel(), equal_nan=True):
            raise RefusalError(
                "has several numbers for one channel that stands in its input twice", "",
                "the same number for both",
            )  # fmt: skip
        maps = whole.reshape(stage.shape[0], size)
        per_channel = np.where(
            np.isnan(maps).all(axis=1), default, np.nanmax(maps, axis=1, initial=-np.inf)
        )
        if ((maps != per_channel[:, None]) & ~np.isnan(maps)).any():
            raise RefusalError(
                "its constant differs within a channel", "shape", "one number for each channel"
            )
        found.append(per_channel)
    return found[0], found[1]


def _is_same(walk: Walk, node: Node) -> bool:
    """Return True if both inputs of a node are the same map."""
    first, second = sums.operands(walk, node)
    return first.stage == second.stage and np.array_equal(walk.index(first), walk.index(second))


def arithmetic(walk: Walk, node: Node) -> Row:
    """Map Add, Sub, Mul and Div: of a map and a constant, or the sum of two maps."""
    constants = [position for position in (0, 1) if node.inputs[position] in walk.constants]
    if not constants:
        if node.op == "Add" and _is_same(walk, node):
            value = sums.operands(walk, node)[0]
            return affine(walk, node, value, *_by_channel(walk, value, 2.0, 0.0))
        if node.op in ("Add", "Sub"):
            return sums.add(walk, node, 1.0 if node.op == "Add" else -1.0)
        if node.op == "Mul":
            return gated(walk, node)
        raise RefusalError("divides by a computed map", "", "sums and products of maps")
    found = walk.constants[node.inputs[constants[0]]]
    (value,), number = sums.operands(walk, node), found.values.astype(np.float64)
    if node.op == "Div" and constants[0] == 0:
        raise RefusalError("divides by a computed map")
    with np.errstate(all="ignore"):
        gain, offset = {
            "Add": (1.0, number),
            "Sub": (1.0, -number) if constants[0] else (-1.0, number),
            "Mul": (number, 0.0),
            "Div": (1 / number if node.op == "Div" else 1.0, 0.0),
        }[node.op]
    return affine(walk, node, value, *_by_channel(walk, value, gain, offset))
