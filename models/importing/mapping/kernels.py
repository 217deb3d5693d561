"""Weights of layers from constants: symmetrical codes, one scale for each output channel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.graph.verifier import MOST_SIDE, MOST_WEIGHTS
from models.importing.mapping.stages import UNCLIPPED, Kernel, Stage
from models.importing.mapping.walk import Walk
from models.importing.readers.foreign import Constant, Ints, Node, Reals
from models.importing.readers.table import RefusalError

MOST_ADD_BITS = 16
"""Most bits of the weights of a sum of two maps."""


def kernel_of(found: Constant | None, axis: int = 0) -> Kernel:
    """Return a constant as a kernel, with a scale for each output channel, along its first axis.

    axis: where the output channels lie in the file. Raises RefusalError.
    """
    if found is None:
        raise RefusalError("has no weights", "weights")
    if found.offset:
        raise RefusalError(
            f"weights have a zero point ({found.offset:+d} from the middle of their codes); the "
            "array multiplies symmetrical weights",
            "zero_point",
            "quantise again with symmetrical int8 weights, per channel",
        )
    if not np.isfinite(found.values).all():
        raise RefusalError("weights are not finite (NaN or infinity)", "weights")
    if found.values.ndim <= axis:
        raise RefusalError(f"weights of shape {found.values.shape}", "weights")
    values = np.moveaxis(found.values, axis, 0).astype(np.float64)
    if found.codes is None or found.scale is None:
        return Kernel(values)
    scale = np.moveaxis(np.broadcast_to(found.scale, found.codes.shape), axis, 0)
    scale = scale.reshape(len(values), -1)
    if (scale != scale[:, :1]).any():
        raise RefusalError(
            "weights of one output channel have several scales",
            "scale",
            "a scale for the tensor, or for each output channel",
        )
    return Kernel(values, np.moveaxis(found.codes, axis, 0), scale[:, 0])


def matrix(found: Constant | None) -> Constant | None:
    """Return a constant of more axes than 2 without leading axes of length 1."""
    if found is None or found.values.ndim < 3 or math.prod(found.values.shape[:-2]) > 1:
        return found
    shape = found.values.shape[-2:]
    if found.codes is None or found.scale is None:
        return Constant(found.values.reshape(shape))
    scale = np.broadcast_to(found.scale, found.codes.shape).reshape(shape)
    return Constant(found.values.reshape(shape), found.codes.reshape(shape), scale, found.offset)


def check_weights(walk: Walk, node: Node) -> None:
    """Raise RefusalError for weights that no input could be multiplied with."""
    if node.op in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
        transposed = node.op != "Conv" and not node.attributes.get("transB", 0)
        kernel_of(walk.constant(node, 1, "weights"), int(transposed))


def each(kernel: Kernel, change: Any) -> Kernel:
    """Return a kernel with a change made to values and codes alike."""
    codes = None if kernel.codes is None else change(kernel.codes)
    return Kernel(change(kernel.values), codes, kernel.scale)


def dilated(walk: Walk, found: Kernel, dilation: tuple[int, int]) -> Kernel:
    """Return weights with the zeros between them that a dilation stands for."""
    if dilation == (1, 1):
        return found
    out, ins, rows, cols = found.values.shape
    tall, wide = (rows - 1) * dilation[0] + 1, (cols - 1) * dilation[1] + 1
    if max(tall, wide) > MOST_SIDE or out * ins * tall * wide > MOST_WEIGHTS:
        raise RefusalError(f"dilation {dilation} makes a kernel of {tall}x{wide}", "dilations")

    def apart(array: Any) -> Any:
        walk.memory.take("weights", out * ins * tall * wide)
        large = np.zeros((out, ins, tall, wide), array.dtype)
        large[:, :, :: dilation[0], :: dilation[1]] = array
        return large

    return each(found, apart)


def spread(walk: Walk, array: Any, places: Ints, size: int) -> Any:
    """Return weights with their second axis at ``places`` of one of ``size``, zeros elsewhere.

    Weights that read one place are summed.
    """
    walk.memory.take("weights", size * math.prod((array.shape[0], *array.shape[2:])))
    large = np.zeros((array.shape[0], size, *array.shape[2:]), array.dtype)
    for place, column in zip(places, np.moveaxis(array, 1, 0), strict=True):
        large[:, place] += column
    return large


def within(walk: Walk, name: str, index: Ints) -> tuple[str, Ints]:
    """Return the stage that holds all of ``index``, positions in stage ``name``; and those there.

    It is a part of that stage, if that joins vectors, and else the stage itself.
    """
    stage = walk.stages[name]
    if stage.op == "concat" and stage.shape[1:] == (1, 1):
        first = 0
        for source in stage.inputs:
            last = first + walk.stages[source].shape[0]
            if first <= index.min() and index.max() < last:
                return within(walk, source, index - first)
            first = last
    return name, index


def add_bias(
    walk: Walk,
    node: Node,
    stage: Stage,
    position: int,
    factor: float = 1.0,
    order: Ints | None = None,
) -> None:
    """Give a stage the bias that is an input of its node, times ``factor``. Raises RefusalError.

    order: which channel of the node's output each channel of the stage is, if they are not alike.
    """
    found = walk.constant(node, position, "bias")
    if found is None:
        return
    order = np.arange(stage.shape[0]) if order is None else order
    count = (int(order.max()) + 1,)
    if math.prod(found.values.shape[:-1]) > 1:
        raise RefusalError(f"a bias of {found.values.shape}, not one for each channel", "bias")
    try:
        values = np.broadcast_to(found.values.ravel(), count)[order] * factor
    except ValueError:
        raise RefusalError(f"a bias of {found.values.shape} for {count[0]}", "bias") from None
    if not np.isfinite(values).all():
        raise RefusalError("the bias is not finite (NaN or infinity)", "bias")
    stage.bias = values.astype(np.float64)
    plain = factor == 1.0 and bool((stage.gain == 1.0).all())  # codes are those before the gain
    if found.codes is not None and found.scale is not None and plain:
        codes = np.broadcast_to(found.codes.ravel(), count)[order]
        scale: Reals = np.broadcast_to(np.ravel(found.scale), count)[order]
        stage.bias_codes = (codes, scale)


def by_channel(walk: Walk, stage: Stage) -> tuple[Kernel, Stage] | None:
    """Return quantised weights of the channels of a rounded stage, and that stage.

    stage: one that multiplies channels and does nothing else, so that a sum of two such can weigh
    its sources itself; None for another.
    """
    plain = stage.is_open and stage.clip == UNCLIPPED and not stage.bias.any()
    if not plain or stage.op not in ("conv2d", "scale"):
        return None
    before = walk.stages[stage.inputs[0]]
    if before.grid is None:
        return None
    if stage.op == "scale":
        gain = stage.gain.reshape(-1, 1, 1, 1)
        codes = np.rint(gain).astype(np.int64)
        whole = (codes == gain).all() and np.abs(codes).max() < 1 << MOST_ADD_BITS - 1
        return (Kernel(gain, codes, np.ones(len(codes))), before) if whole else None
    (kernel,) = stage.kernels
    copies = kernel.values.shape[1:] == (1, 1, 1) and stage.groups == stage.shape[0]
    copies = copies and stage.shape == before.shape and bool((stage.gain > 0).all())
    if not copies or kernel.codes is None or kernel.scale is None:
        return None
    values = kernel.values * stage.gain[:, None, None, None]
    return Kernel(values, kernel.codes, kernel.scale * stage.gain), before
