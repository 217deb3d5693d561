"""Maps of several stages as one: enlarged to one size, and joined along their channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from models.graph.layers import Pair
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import Walk, same_grid
from models.importing.readers.foreign import Grid, check_shape

NAME = "outputs"
"""Name of the last layer of several outputs; those of what joins its inputs begin with it."""
MOST_MORE = 255
"""Most rows or columns of zeros that one layer adds."""


def concatenated(walk: Walk, parts: Sequence[Stage], zero: int) -> Stage:
    """Return the concatenation of stages, codes as they are: their grids may differ.

    zero: the code that then stands for the zero point.
    """
    copies = {
        part.name: Stage(walk.unused(f"{NAME}_input"), "scale", (part.name,), part.shape,
                         grid=part.grid)
        for part in parts if part.op == "input"
    }  # fmt: skip
    for copy in copies.values():
        walk.add(copy)
    names = tuple(copies[part.name].name if part.name in copies else part.name for part in parts)
    shape = (sum(part.shape[0] for part in parts), *parts[0].shape[1:])
    made = Stage(walk.unused(f"{NAME}_joined"), "concat", names, shape, closed=True)
    grids = [part.grid for part in parts if part.grid]
    if grids:
        made.grid = grids[0] if all(same_grid(grid, grids[0]) for grid in grids) else Grid(
            1.0, zero, max(grid.bits for grid in grids),
            any(grid.signed for grid in grids),
        )  # fmt: skip
    walk.add(made)
    for part in parts:
        part.closed = True
    return made


def enlarged(walk: Walk, stage: Stage, sides: Pair, corner: Pair) -> Stage:
    """Return a map with zeros around it, by a layer for rows and one for columns.

    sides: rows and columns of the result; corner: where the map's first ones lie.
    """
    for axis in (0, 1):
        before, after = corner[axis], sides[axis] - stage.shape[1 + axis] - corner[axis]
        while before or after:
            first = min(before, MOST_MORE)
            last = min(after, MOST_MORE - first)
            stage = _bordered(walk, stage, axis, first, last)
            before, after = before - first, after - last
    return stage


def _bordered(walk: Walk, stage: Stage, axis: int, before: int, after: int) -> Stage:
    """Return a map with zeros before and after its rows (axis 0) or columns (axis 1).

    That is a window of one 1 that reads one row or column of the map, or of the padding.
    """
    more = before + after
    window, reach, shape = [1, 1], [0, 0], [*stage.shape]
    window[axis], reach[axis], shape[1 + axis] = more + 1, more, shape[1 + axis] + more
    walk.memory.take(NAME, math.prod(check_shape(shape, NAME)) + shape[0] * (more + 1))
    place = np.zeros((shape[0], 1, *window), np.int64)
    np.moveaxis(place, 2 + axis, 0)[after] = 1
    stage.closed = True
    made = Stage(
        walk.unused(f"{NAME}_enlarged"), "conv2d", (stage.name,), (shape[0], shape[1], shape[2]),
        (Kernel(place.astype(np.float64), place, np.ones(shape[0])),), shape[0],
        pads=(reach[0], reach[1], reach[0], reach[1]), grid=stage.grid, closed=True,
    )  # fmt: skip
    walk.add(made)
    return made
