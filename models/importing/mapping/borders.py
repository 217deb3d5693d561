"""Borders of maps: zeros that Pad puts around them, and copies of their edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.graph.verifier import MOST_SIDE
from models.importing.mapping import layouts, phases
from models.importing.mapping.moves import row
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import Handler, Value, Walk
from models.importing.readers.foreign import Ints, Node
from models.importing.readers.table import RefusalError, Row

# Zeros ---------------------------------------------------------------------------------------


def pad(walk: Walk, node: Node) -> Row:
    """Map Pad: the layer behind it reads zeros around its input."""
    value = walk.value(node)
    pads = walk.numbers(node, 1, "pads") or []
    fill = walk.constant(node, 2, "constant_value")
    number = float(np.ravel(fill.values)[0]) if fill else float(node.attributes.get("value", 0.0))
    if node.attributes.get("mode", "constant") != "constant":
        raise RefusalError(
            f"pads by {node.attributes['mode']}", "mode", "pad with zeros (mode constant)"
        )
    if number != 0:
        raise RefusalError(f"pads with {number:g}, not 0", "constant_value", "pad with zeros")
    axes = walk.numbers(node, 3, "axes")
    ndim = value.index.ndim
    sides = np.zeros((2, ndim), np.int64)
    sides[:, axes if axes is not None else slice(None)] = np.reshape(pads, (2, -1))
    if sides.min() < 0:
        raise RefusalError("negative padding cuts the map", "pads", "use Slice")
    if not sides.any():
        walk.put(node, value)
        return row(walk, node, "pads nothing")
    walk.put(node, padded(walk, value, sides))
    return row(walk, node, "padding of the layer behind it")


def padded(walk: Walk, value: Value, sides: Any) -> Value:
    """Return a tensor with zeros around its map; sides: (before and after, axes)."""
    index = walk.index(value)
    shape = walk.stages[value.stage].shape
    if index.ndim == 3:  # a sequence (1, channels, columns)
        index, sides = index[:, :, None, :], np.insert(sides, 2, 0, axis=1)
    rows, cols = _map_axes(index, shape)
    others = [axis for axis in range(index.ndim) if axis not in (rows, cols)]
    if sides[:, others].any():
        raise RefusalError("pads other axes than rows and columns", "pads")
    top, left, bottom, right = (
        int(sides[0, rows]), int(sides[0, cols]), int(sides[1, rows]), int(sides[1, cols]),
    )  # fmt: skip
    pads = tuple(map(sum, zip(value.pads, (top, left, bottom, right), strict=True)))
    if max(pads[0] + pads[2], pads[1] + pads[3]) >= MOST_SIDE:
        raise RefusalError(f"is padded by {max(pads)}", "pads", f"less than {MOST_SIDE}")
    return Value(value.stage, value.index, (pads[0], pads[1], pads[2], pads[3]))


def _map_axes(index: Any, shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return the axes of a tensor of 4 along which rows and columns of its stage lie."""
    if index.ndim == 4:
        for rows, cols, rest in ((2, 3, (1, 2, 3)), (1, 2, (3, 1, 2))):
            view = index.transpose((0, *rest))
            if view.shape[1:] == shape and layouts.channels(view, shape) is not None:
                return rows, cols
    raise RefusalError("pads what is no map of rows and columns", "pads")


def unpadded(handler: Handler) -> Handler:
    """Return a handler whose node reads the zeros around its inputs as values of a layer."""

    def handle(walk: Walk, node: Node) -> Row:
        for name in node.inputs:
            if name in walk.values:
                walk.values[name] = filled(walk, walk.values[name], name)
        return handler(walk, node)

    return handle


def filled(walk: Walk, value: Value, name: str) -> Value:
    """Return a tensor whose zeros around the map are values of a layer of its own.

    That is a window as large as the padding, of which one place is 1. The tensor itself if it has
    no padding.
    """
    if not any(value.pads):
        return value
    index, top, left = walk.index(value), value.pads[0], value.pads[1]
    stage = walk.closed(value)
    tall, wide = top + value.pads[2], left + value.pads[3]
    channels = stage.shape[0]
    walk.memory.take(name, channels * (tall + 1) * (wide + 1))
    walk.memory.take(name, channels * (stage.shape[1] + tall) * (stage.shape[2] + wide))
    place = np.zeros((channels, 1, tall + 1, wide + 1), np.int64)
    place[:, :, value.pads[2], value.pads[3]] = 1
    made = Stage(
        walk.unused(f"{walk.layer_name(name)}_padded"),
        "conv2d",
        (stage.name,),
        (channels, stage.shape[1] + tall, stage.shape[2] + wide),
        (Kernel(place.astype(np.float64), place, np.ones(channels)),),
        channels,
        pads=(tall, wide, tall, wide),
        grid=stage.grid,
    )
    view = index[:, :, None, :] if index.ndim == 3 else index
    rows, cols = _map_axes(view, stage.shape)
    first = np.moveaxis(view, (rows, cols), (2, 3))
    picks = layouts.channels(first, stage.shape)
    maps = walk.add(made).index[:, picks]
    maps = np.moveaxis(maps, (2, 3), (rows, cols))
    return Value(made.name, maps[:, :, 0, :] if index.ndim == 3 else maps)


# Copies of the edge --------------------------------------------------------------------------


MOVED = 15
"""Most rows that a layer moves an edge by, for each eight rows of its input: hardware that holds
each row of a low map in a memory of its own reaches no further."""


def edged(walk: Walk, value: Value, ends: Sequence[tuple[int, int]], name: str) -> Value:
    """Return a map with copies of its edge around it, by layers that copy codes as they are.

    ends: coarse places (before, after) of rows and of columns, each 0 or 1; of a map with phases,
    all phases of such a place are the edge. Raises RefusalError for what is no map.
    """
    picks = phases.of(walk, value)
    if picks is None:
        raise walk.elsewhere(value)
    if not np.array_equal(np.sort(picks, None), np.arange(walk.stages[value.stage].shape[0])):
        value = phases.held(walk, value, picks.shape[1:], name)
    for axis, around in enumerate(ends):
        if any(around):
            value = _edged(walk, value, axis, around, name)
    return value


def _edged(walk: Walk, value: Value, axis: int, ends: tuple[int, int], name: str) -> Value:
    """Return a map with copies of its edge along one axis.

    Each edge is taken out, moved to its place among zeros, and added to the map with zeros around
    it: layers of one weight a channel, so that all others can be skipped.
    """
    picks, stage = phases.of(walk, value), walk.closed(value)
    assert picks is not None
    channels, size, count = stage.shape[0], stage.shape[1 + axis], sum(ends)
    total = size + count
    groups = len(picks) if phases.apart(picks, len(picks), channels) else 1

    def layer(what: str, before: Stage, weights: Ints, groups: int, side: int) -> Stage:
        walk.memory.take(name, weights.size)
        laid, pad, sides = weights[..., None].swapaxes(2 + axis, 2), [0, 0], [*stage.shape[1:]]
        sides[axis], pad[axis] = side, weights.shape[2] - 1 if side > 1 else 0
        kernel = Kernel(laid.astype(np.float64), laid, np.ones(channels))
        label, shape = walk.unused(f"{name}_{what}"), (channels, sides[0], sides[1])
        pads = (pad[0], pad[1], pad[0], pad[1])
        made = Stage(label, "conv2d", (before.name,), shape, (kernel,), groups, pads=pads,
                     grid=stage.grid, closed=True)  # fmt: skip
        walk.add(made)
        return made

    def moved(what: str, before: Stage, tap: int, by: int, side: int) -> Stage:
        weights = np.zeros((channels, 1, by + 1), np.int64)
        weights[:, :, tap] = 1
        return layer(what, before, weights, channels, side)

    whole = moved("inner", stage, ends[1], count, total)
    for end in (0, -1):
        if not ends[end]:
            continue
        taken = np.zeros((channels, channels // groups, size), np.int64)
        source = np.broadcast_to(picks.take([end], 1 + axis), picks.shape)
        taken[picks, source % (channels // groups), end] = 1
        edge, side = layer("edge", stage, taken, groups, 1), 1
        while side < total:
            by = min(total - side, MOVED * max(side // 8, 1) if axis == 0 else total)
            side += by
            edge = moved("moved", edge, -1 - end, by, side)
        ones = Kernel(np.ones((channels, 1, 1, 1)))
        whole = Stage(walk.unused(f"{name}_edged"), "add", (whole.name, edge.name), edge.shape,
                      (ones, ones), channels, grid=stage.grid, closed=True)  # fmt: skip
        walk.add(whole)
    _, rows, cols = whole.shape
    places = layouts.positions((rows, cols))[:, None, :, None]
    maps = picks[:, None, :, None, :] * places.size + places
    index = maps.reshape(1, len(picks), rows * picks.shape[1], cols * picks.shape[2])
    return Value(whole.name, index)
