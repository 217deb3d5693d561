"""Convolutions of 1 and 2 dimensions, transposed ones and interpolation included."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.importing.mapping import borders, kernels, layouts, moves, phases
from models.importing.mapping.layouts import Places
from models.importing.mapping.phases import Axis
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.sums import as_read, mapped, output_places, padded_sides, pair, sum4
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Ints, Node
from models.importing.readers.table import RefusalError, Row

MOST_PHASES = 64
"""Most places along an axis after which the weights of an interpolation may repeat."""
MOST_STEP = 4
"""Most places of the input, or else of the output, after which they may repeat."""
MOST_CODE = 127
"""Largest weight of an interpolation: that of 8 bits."""


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
    walk.put(node, as_read(walk.add(made), value.index.ndim))
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


def resize(walk: Walk, node: Node) -> Row:
    """Map Resize: nearest values are moved, interpolated ones a convolution of fixed weights."""
    if node.attributes.get("mode", "nearest") != "linear":
        return moves.move(walk, node)
    for attribute in ("antialias", "exclude_outside"):
        if node.attributes.get(attribute, 0):
            raise RefusalError(f"interpolates with {attribute}", attribute, f"{attribute} 0")
    whole = walk.value(node)
    sides = moves.resized_sides(walk, node, whole.index.shape)
    value, perm = _view(walk, whole, {axis for axis, _, _ in sides})
    found: list[tuple[Places, int] | None] = [None, None]
    picked = []
    for axis, made, scale in sides:
        seen = perm.index(axis) + 4 - len(perm)
        size = value.index.shape[seen]
        places = _places(node, size, made, scale)
        read = places.of(made).clip(0, (size - 1) * places.unit)
        if (read % places.unit).any():
            found[seen - 2] = places, made
        else:
            picked.append((read // places.unit, seen))
    if any(found):
        value = _interpolated(walk, value, found, walk.name(node))
    for read, seen in picked:
        value = Value(value.stage, value.index.take(read, seen))
    back = as_read(value, len(perm)).index.transpose(np.argsort(perm))
    walk.put(node, Value(value.stage, back))
    layer = walk.stages[value.stage]
    return mapped(node, layer) if any(found) else moves.row(walk, node, "positions only")


def _view(walk: Walk, value: Value, axes: set[int]) -> tuple[Value, tuple[int, ...]]:
    """Return a tensor as (1, channels, rows, columns), and the order of its axes for that.

    axes: those that must be rows or columns. Raises RefusalError for what is no map.
    """
    ndim = value.index.ndim
    for perm in ((0, 1, 2, 3), (0, 3, 1, 2)) if ndim == 4 else ((0, 1, 2), (0, 2, 1)):
        if ndim in (3, 4) and axes <= set(perm[2:]):
            index = value.index.transpose(perm)
            found = Value(value.stage, index if ndim == 4 else index[:, :, None, :])
            if phases.of(walk, found) is not None:
                return found, perm
    raise RefusalError(
        f"interpolates along axes {sorted(axes)} of {value.index.shape}, which are not rows and "
        "columns of a map", "axes", "rows and columns alone",
    )  # fmt: skip


def _places(node: Node, size: int, made: int, scale: float) -> Places:
    """Return where the places of an interpolated axis lie in its input. Raises RefusalError."""
    found = layouts.placed(node.attributes, size, made, scale)
    step, often = found.ratio.as_integer_ratio()
    few = size == 1 or (often <= MOST_PHASES and min(step, often) <= MOST_STEP)
    if node.attributes.get("coordinate_transformation_mode") == "align_corners":
        if abs(size * scale - made) > 1e-4:
            raise RefusalError(
                f"aligns the corners of {size * scale:g} places", "scales", "whole sizes"
            )
        if not few:
            raise RefusalError(
                f"aligns the corners of {size} and {made} places, whose weights differ at each",
                "coordinate_transformation_mode",
                f"half_pixel, or a whole number times {size - 1} and 1 more",
            )
    elif not few:
        raise RefusalError(
            f"interpolates {size} places to {scale:g} times as many", "scales",
            f"a whole factor up to {MOST_PHASES}",
        )  # fmt: skip
    return found


def _interpolated(
    walk: Walk, value: Value, wanted: list[tuple[Places, int] | None], name: str
) -> Value:
    """Return a map interpolated along rows and columns, those that ``wanted`` has.

    One layer where its weights have 8 bits, else one for rows and one for columns.
    """
    ends, most = [], 1
    sizes = walk.index(value).shape
    for axis, one in enumerate(wanted, 2):
        ends.append((0, 0))
        if one:
            places, unit = one[0].of(one[1]), one[0].unit
            ends[-1] = int(places[0] < 0), int(places[-1] > (sizes[axis] - 1) * unit)
            most *= int(np.maximum(places % unit, unit - places % unit).max())
    value = borders.edged(walk, value, ends, name)
    if most > MOST_CODE and all(wanted):
        grid = walk.stages[value.stage].grid
        value = _lines(walk, value, [wanted[0], None], ends, name)
        walk.stages[value.stage].grid = grid
        wanted = [None, wanted[1]]
    return _lines(walk, value, wanted, ends, name)


def _lines(
    walk: Walk,
    value: Value,
    wanted: list[tuple[Places, int] | None],
    ends: list[tuple[int, int]],
    name: str,
) -> Value:
    """Return a map with its edges interpolated in one layer. Raises RefusalError."""
    picks = _picks(walk, value)
    axes, taps, unit = [], [], 1
    shape = layouts.map_shape(walk.index(value).shape)
    for axis, one in enumerate(wanted):
        of = picks.shape[1 + axis]
        weights: Any = np.ones(1, np.int64)
        if one is None:
            axes.append(phases.windows(of, 1, 1, 0, shape[1 + axis]))
        else:
            made, weights = phases.lines(of, one[0], one[1], of * ends[axis][0])
            axes.append(made)
            unit *= one[0].unit
        taps.append(weights)
    codes = np.broadcast_to(np.outer(*taps), (len(picks), 1, len(taps[0]), len(taps[1])))
    kernel = Kernel(codes / unit, codes, np.full(len(picks), 1 / unit))
    _, found, _ = phases.convolved(walk, walk.unused(name), value, picks, kernel, len(picks), axes)
    return found


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
    walk.put(node, as_read(found, value.index.ndim))
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
