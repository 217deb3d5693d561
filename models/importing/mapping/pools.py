"""Average and maximum pooling, of windows and of whole maps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.importing.mapping import borders, layouts, moves, sums
from models.importing.mapping.stages import Kernel, Stage, Window
from models.importing.mapping.sums import as_read, mapped, output_places, pair, sum4
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Ints, Node
from models.importing.readers.table import RefusalError, Row

NO_PADS = (0, 0, 0, 0)


def average_pool(walk: Walk, node: Node) -> Row:
    """Map an average pooling of windows, of whole maps, or over given axes."""
    if _is_of_nothing(walk, node):
        return moves.same(walk, node)
    value = walk.value(node)
    if node.op == "AveragePool":
        whole, own = bool(node.attributes.get("count_include_pad", 0)), node.attributes
        if own.get("pads", ()) or own.get("auto_pad", "VALID") not in ("VALID", "NOTSET"):
            value = value if whole else borders.filled(walk, value, node.inputs[0])
        whole = whole or any(value.pads)  # zeros of a Pad before count
        value = walk.straight(value, walk.name(node))
        stage, (kernel, stride, pads) = walk.closed(value), pooling(walk, node, value)
        places = output_places(stage.shape, kernel, stride, pads, node)
        count = math.prod(
            _counted(stage.shape[1 + axis], kernel[axis], stride[axis], pads[axis::2],
                     places[axis], whole)
            for axis in (0, 1)
        )  # fmt: skip
        output = None
    else:
        kernel, output = _whole(walk, node, value)
        stage = walk.closed(value)
        stride, pads = (1, 1), NO_PADS
        places = (stage.shape[1] // kernel[0], stage.shape[2] // kernel[1])
        count = 1 if node.op == "ReduceSum" else kernel[0] * kernel[1]
    channels = stage.shape[0]
    ones = np.ones((channels, 1, *kernel), np.int64)
    made = Stage(
        walk.name(node),
        "avg_pool",
        (stage.name,),
        (channels, *places),
        (Kernel(ones.astype(np.float64), ones, np.ones(channels)),),
        channels,
        stride,
        pads,
        gain=np.full(channels, 1 / count),
        bias=np.zeros(channels),
    )
    found = walk.add(made, output)
    walk.put(node, found if output is not None else as_read(found, value.index.ndim))
    return mapped(node, made)


def _counted(
    size: int, kernel: int, stride: int, pads: tuple[int, ...], places: int, whole: bool
) -> int:
    """Return how many values each window averages along an axis; ``whole``: padding included.

    Raises RefusalError where windows differ in it.
    """
    starts = np.arange(places) * stride - pads[0]
    low, high = (-pads[0], size + pads[1]) if whole else (0, size)
    counts = np.minimum(starts + kernel, high) - np.maximum(starts, low)
    if counts.min() != counts.max():
        raise RefusalError(
            f"its windows average {counts.min()} to {counts.max()} values along an axis: padding "
            "is left out of the count",
            "count_include_pad",
            "count_include_pad=1, or pooling without padding",
        )
    return int(counts[0])


def _is_of_nothing(walk: Walk, node: Node) -> bool:
    """Return True for a reduction over no axes at all: ONNX can let that leave values alone."""
    alone = bool(node.attributes.get("noop_with_empty_axes", 0))
    return alone and not walk.numbers(node, 1, "axes")


def _whole(walk: Walk, node: Node, value: Value) -> tuple[tuple[int, int], Ints]:
    """Return the window of a pooling over axes, and the layout of its output.

    Raises RefusalError.
    """
    index = walk.index(value)
    axes = tuple(range(2, index.ndim))
    reduces = node.op.startswith("Reduce")
    if reduces:
        given = walk.numbers(node, 1, "axes")
        axes = tuple(a % index.ndim for a in (given or range(index.ndim)))
    keep = not reduces or bool(node.attributes.get("keepdims", 1))
    kept = [axis for axis in range(index.ndim) if axis not in axes]
    stage = walk.stages[value.stage]
    rows = index.transpose(*kept, *axes).reshape(-1, math.prod(index.shape[a] for a in axes))
    found = layouts.reduced(rows, stage.shape)
    if found is None:
        raise RefusalError(
            f"combines axes {list(axes)} of {index.shape}, which are not all rows, all columns or "
            "both of each channel",
            "axes",
        )
    window, places = found
    shape = [1 if axis in axes else side for axis, side in enumerate(index.shape)]
    return window, places.reshape(shape if keep else [index.shape[axis] for axis in kept])


def max_pool(walk: Walk, node: Node) -> Row:
    """Map a maximum pooling of windows, of whole maps, or over given axes."""
    if _is_of_nothing(walk, node):
        return moves.same(walk, node)
    value, output = walk.value(node), None
    if node.op == "MaxPool":
        value = walk.straight(value, walk.name(node))
        stage = walk.stages[value.stage]
        kernel, stride, pads = pooling(walk, node, value)
        places = output_places(stage.shape, kernel, stride, pads, node)
    else:
        kernel, output = _whole(walk, node, value)
        stage = walk.stages[value.stage]
        stride, pads = kernel, NO_PADS
        places = (stage.shape[1] // kernel[0], stage.shape[2] // kernel[1])
    if len(node.outputs) > 1 and node.outputs[1] in walk.readers:
        raise RefusalError("gives the places of its maxima", "Indices")
    made = Stage(
        walk.name(node),
        "max_pool",
        (stage.name,),
        (stage.shape[0], *places),
        window=Window(kernel, stride, pads),
        grid=stage.grid,
    )
    found = walk.add(made, output)
    walk.put(node, found if output is not None else as_read(found, value.index.ndim))
    return mapped(node, made)


def pooling(walk: Walk, node: Node, value: Value) -> tuple[Any, Any, tuple[int, int, int, int]]:
    """Return kernel, stride and padding of a pooling's windows. Raises RefusalError."""
    kernel = pair(node, "kernel_shape")
    stride = pair(node, "strides")
    if max(pair(node, "dilations")) > 1:
        raise RefusalError("dilated windows", "dilations", "pooling without dilation")
    sizes = sums.padded_sides(walk.stages[value.stage].shape, value)
    pads = layouts.padding_of(node.attributes, sizes, kernel, stride)
    return kernel, stride, sum4(pads, value.pads)
