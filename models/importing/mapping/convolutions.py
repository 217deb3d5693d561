"""Convolutions of 1 and 2 dimensions, transposed ones included."""

from __future__ import annotations

import numpy as np

from models.importing.mapping import kernels, layouts, phases
from models.importing.mapping.phases import Axis
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.sums import as_read, mapped, output_places, padded_sides, pair, sum4
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Ints, Node
from models.importing.readers.table import RefusalError, Row


def conv(walk: Walk, node: Node) -> Row:
    """Map a convolution, grouped and dilated ones included."""
    value = walk.value(node)
    weights = _planar(kernels.kernel_of(walk.constant(node, 1, "weights")))
    weights = kernels.dilated(walk, weights, pair(node, "dilations"))
    groups = int(node.attributes.get("group", 1))
    shape = layouts.map_shape(walk.index(value).shape)
    picks = _picks(walk, value)
    out, per_group = weights.values.shape[:2]
    if groups < 1 or len(picks) != per_group * groups or out % groups:
        raise RefusalError(
            f"weights {weights.values.shape} in {groups} groups do not fit {len(picks)} channels",
            "group",
        )
    kernel, stride = weights.values.shape[2:], pair(node, "strides")
    sides = padded_sides(shape, value)
    pads = sum4(layouts.padding_of(node.attributes, sides, kernel, stride), value.pads)
    places = output_places(shape, kernel, stride, pads)
    if picks[0].size > 1:
        axes = [
            phases.windows(picks.shape[1 + i], kernel[i], stride[i], pads[i], places[i])
            for i in (0, 1)
        ]
        return _finish(walk, node, value, picks, weights, groups, axes)
    order = picks.ravel()
    straight = np.array_equal(order, np.arange(walk.stages[value.stage].shape[0]))
    if not straight and groups > 1:
        value, straight = walk.straight(value, walk.name(node)), True
    stage = walk.closed(value)
    if not straight:
        weights = kernels.each(
            weights, lambda array: kernels.spread(walk, array, order, stage.shape[0])
        )
    made = Stage(
        walk.name(node), "conv2d", (stage.name,), (out, *places), (weights,), groups, stride, pads
    )
    kernels.add_bias(walk, node, made, 2)
    walk.put(node, as_read(walk.add(made), walk.index(walk.value(node)).ndim))
    return mapped(node, made)


def transposed(walk: Walk, node: Node) -> Row:
    """Map a transposed convolution: a convolution that computes the phases of the larger map."""
    value = walk.value(node)
    groups = int(node.attributes.get("group", 1))
    weights = _planar(kernels.kernel_of(walk.constant(node, 1, "weights"), 1))
    shape, picks = layouts.map_shape(walk.index(value).shape), _picks(walk, value)
    ins = weights.values.shape[1]
    if groups < 1 or len(picks) != ins or ins % groups:
        raise RefusalError(
            f"weights {weights.values.shape} in {groups} groups do not fit {len(picks)} channels",
            "group",
        )
    weights = _by_group(weights, groups)
    stride, dilation = pair(node, "strides"), pair(node, "dilations")
    kernel = weights.values.shape[2:]
    axes = []
    for i in (0, 1):
        reach = (shape[1 + i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1
        pad, count = _larger(node, i, shape[1 + i] * stride[i], reach)
        axes.append(
            phases.spaced(picks.shape[1 + i], kernel[i], stride[i], pad, dilation[i], count)
        )
    return _finish(walk, node, value, picks, weights, groups, axes)


def _finish(
    walk: Walk,
    node: Node,
    value: Value,
    picks: Ints,
    weights: Kernel,
    groups: int,
    axes: list[Axis],
) -> Row:
    """Add the stage of a convolution whose input or output has phases."""
    made, found, order = phases.convolved(
        walk, walk.name(node), value, picks, weights, groups, axes
    )
    kernels.add_bias(walk, node, made, 2, order=order)
    walk.put(node, as_read(found, walk.index(value).ndim))
    return mapped(node, made)


def _planar(weights: Kernel) -> Kernel:
    """Return weights of one dimension as those of one row. Raises RefusalError for three."""
    if weights.values.ndim == 3:
        return kernels.each(weights, lambda array: array[:, :, None, :])
    if weights.values.ndim != 4:
        raise RefusalError(
            f"weights of {weights.values.ndim} axes", "weights", "1-D or 2-D convolutions"
        )
    return weights


def _picks(walk: Walk, value: Value) -> Ints:
    """Return the channels of a tensor's phases in its stage. Raises RefusalError without any."""
    found = phases.of(walk, value)
    if found is None:
        raise walk.elsewhere(value)
    return found


def _by_group(weights: Kernel, groups: int) -> Kernel:
    """Return weights (out / groups, in, ...) of a transposed convolution as (out, in / groups)."""
    if groups == 1:
        return weights
    out, ins, *kernel = weights.values.shape

    def grouped(array: object) -> object:
        apart = np.reshape(np.asarray(array), (out, groups, ins // groups, *kernel))
        return np.swapaxes(apart, 0, 1).reshape(out * groups, ins // groups, *kernel)

    made = kernels.each(weights, grouped)
    scale = None if weights.scale is None else np.tile(weights.scale, groups)
    return Kernel(made.values, made.codes, scale)


def _larger(node: Node, axis: int, size: int, reach: int) -> tuple[int, int]:
    """Return padding before and places of a transposed convolution's output along an axis.

    size: places of the input times the stride; reach: what all taps write to.
    """
    given = node.attributes
    more = [int(n) for n in given.get("output_padding", (0, 0))]
    more = [0, *more] if len(more) == 1 else more
    auto, wanted = given.get("auto_pad", "NOTSET"), given.get("output_shape")
    if wanted is None and auto not in ("SAME_UPPER", "SAME_LOWER"):
        pads = layouts.padding_of(given, (1, 1), (1, 1), (1, 1))
        count = reach + more[axis] - pads[axis] - pads[axis + 2]
        if count < 1:
            raise RefusalError(f"nothing is left within the padding {pads}", "pads")
        return pads[axis], count
    sides = [0, *wanted] if wanted is not None and len(wanted) == 1 else wanted
    count = size if sides is None else int(sides[axis]) or 1
    total = max(reach + more[axis] - count, 0)
    return total // 2 if auto == "SAME_UPPER" else total - total // 2, count
