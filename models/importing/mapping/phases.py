"""Maps finer than the stage that holds them: the phases of each place are channels there.

What makes maps larger (transposed convolutions, resizing, pixel shuffles) leaves the places in
between as channels of the coarse map, and layers behind it compute all phases at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from models.graph.verifier import MOST_WEIGHTS
from models.importing.mapping import kernels, layouts
from models.importing.mapping.layouts import Places
from models.importing.mapping.stages import Kernel, Stage
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Ints
from models.importing.readers.table import RefusalError


@dataclass(frozen=True, eq=False)
class Axis:
    """Places that each tap reads along rows or columns, of a map that has phases.

    Made by ``windows``, ``spaced`` and ``lines``. Tap k of output phase p at coarse place Y reads
    the fine input place ``phases * step * Y + reads[p, k]``, if it is one of ``taken[p, k]``.
    """

    reads: Ints
    taken: Any
    phases: int
    """Of the input."""
    step: int
    """Coarse input places from one coarse output place to the next."""
    count: int
    """Fine places of the output."""

    @cached_property
    def coarse(self) -> Ints:
        """Coarse input place that each tap reads, relative to ``step`` times Y."""
        return self.reads // self.phases

    @property
    def first(self) -> int:
        return min(int(self.coarse[self.taken].min(initial=0)), 0)

    @property
    def taps(self) -> int:
        """Coarse places from the first to the last that a window reads."""
        return int(self.coarse[self.taken].max(initial=0)) - self.first + 1

    @property
    def places(self) -> int:
        return -(-self.count // len(self.reads))

    def pads(self, size: int) -> tuple[int, int]:
        """Return the padding before and after a coarse input of ``size``."""
        after = (self.places - 1) * self.step + self.taps + self.first - size
        return -self.first, max(after, 0)


def windows(
    phases: int, taps: int, stride: int, pad: int, count: int, made: int | None = None
) -> Axis:
    """Return what a convolution reads along an axis of a map of ``phases``.

    count: places of its output; made: phases of the output, a multiple of the least (default).
    """
    made = made or phases // math.gcd(phases, stride)
    reads = stride * np.arange(made)[:, None] - pad + np.arange(taps)
    return Axis(reads, np.ones(reads.shape, bool), phases, made * stride // phases, count)


def spaced(phases: int, taps: int, stride: int, pad: int, dilation: int, count: int) -> Axis:
    """Return what a transposed convolution reads along an axis of a map of ``phases``."""
    distance = np.arange(phases * stride)[:, None] + pad - dilation * np.arange(taps)
    return Axis(distance // stride, distance % stride == 0, phases, 1, count)


def lines(phases: int, places: Places, count: int, before: int) -> tuple[Axis, Ints]:
    """Return what linear interpolation reads along an axis of a map of ``phases``, and its weights.

    before: places of the map before the one that ``places`` counts from. Each phase of the output
    has two taps of its own; weights are in units of ``1 / places.unit``, by tap.
    """
    often = phases // math.gcd(places.ratio.numerator, phases)
    made = places.ratio.denominator * often
    reads, part = divmod(places.of(made), places.unit)
    own = np.repeat(np.eye(made, dtype=bool), 2, axis=1)
    weights = np.stack([places.unit - part, part], 1).ravel()
    both = np.tile((reads[:, None] + before + np.arange(2)).ravel(), (made, 1))
    step = places.ratio.numerator * often // phases
    return Axis(both, own & (weights > 0), phases, step, count), weights


def of(walk: Walk, value: Value) -> Ints | None:
    """Return which channel of its stage is each phase of a tensor: (channels, rows, columns).

    None where its places do not lie in order. One phase: the tensor lies as its stage does.
    """
    index, (_, rows, cols) = walk.index(value), walk.stages[value.stage].shape
    shape = layouts.map_shape(index.shape)
    if shape[1] % rows or shape[2] % cols:
        return None
    high, wide = shape[1] // rows, shape[2] // cols
    maps = index.reshape(shape[0], rows, high, cols, wide).transpose(0, 2, 4, 1, 3)
    size = rows * cols
    found: Ints = maps[..., 0, 0] // size
    whole = maps == found[..., None, None] * size + np.arange(size).reshape(rows, cols)
    return found if bool(whole.all()) else None


def convolved(
    walk: Walk,
    name: str,
    value: Value,
    picks: Ints,
    weights: Kernel,
    groups: int,
    axes: Sequence[Axis],
) -> tuple[Stage, Value, Ints]:
    """Return a convolution of a map with phases as a stage, its tensor, and its channels.

    picks: of ``of``. weights: (out, in / groups, rows, columns), each tap one of ``axes``. The last
    result has which channel of the tensor each channel of the stage is.
    """
    rows, cols = axes
    stage = walk.closed(value)
    out = len(weights.values)
    width = stage.shape[0] // groups
    own = groups > 1 and apart(picks, groups, stage.shape[0])
    picks, width = (picks % width, width) if own else (picks, stage.shape[0])
    made = (len(rows.reads), len(cols.reads))
    size = math.prod(made) * out * width * rows.taps * cols.taps
    if size > MOST_WEIGHTS:
        raise RefusalError(f"has {size} weights, as its map is held in {picks[0].size} phases")
    # Groups stay together where channels come first; else phases do, whose zeros are skipped.
    axis = 0 if own else 2
    order = np.moveaxis(np.broadcast_to(np.arange(out), (*made, out)), 2, axis).ravel()
    members = picks.reshape(groups, -1, *picks.shape[1:])[np.arange(out) * groups // out]

    def spread(array: Any) -> Any:
        walk.memory.take(name, size)
        large = np.zeros((*made, out, width, rows.taps, cols.taps), array.dtype)
        each = np.arange(out)[:, None]
        for p, i in np.argwhere(rows.taken):
            for q, j in np.argwhere(cols.taken):
                at = rows.coarse[p, i] - rows.first, cols.coarse[q, j] - cols.first
                phase = rows.reads[p, i] % rows.phases, cols.reads[q, j] % cols.phases
                place = large[p, q, :, :, at[0], at[1]]
                np.add.at(place, (each, members[:, :, phase[0], phase[1]]), array[:, :, i, j])
        return np.moveaxis(large, 2, axis).reshape(-1, *large.shape[3:])

    scale = None if weights.scale is None else weights.scale[order]
    kernel = replace(kernels.each(weights, spread), scale=scale)
    (top, bottom), (left, right) = rows.pads(stage.shape[1]), cols.pads(stage.shape[2])
    result = Stage(
        name,
        "conv2d",
        (stage.name,),
        (len(order), rows.places, cols.places),
        (kernel,),
        groups if own else 1,
        (rows.step, cols.step),
        (top, left, bottom, right),
    )
    return result, _fine(walk.add(result), made, out, axis, axes), order


def apart(picks: Ints, groups: int, channels: int) -> bool:
    """Return True if each group of a tensor's channels is that of its stage's ``channels``."""
    width = channels // groups
    owner = picks.reshape(groups, -1) // max(width, 1)
    return groups * width == channels and bool((owner == np.arange(groups)[:, None]).all())


def _fine(value: Value, made: tuple[int, int], out: int, axis: int, axes: Sequence[Axis]) -> Value:
    """Return a stage's channels as the phases of a map of ``out`` channels."""
    places = (axes[0].places, axes[1].places)
    shape = [*made]
    shape.insert(axis, out)
    maps = np.moveaxis(value.index.reshape(*shape, *places), axis, 2)
    fine = maps.transpose(2, 3, 0, 4, 1).reshape(1, out, places[0] * made[0], places[1] * made[1])
    return replace(value, index=fine[:, :, : axes[0].count, : axes[1].count])


def held(walk: Walk, value: Value, phases: tuple[int, int], name: str) -> Value:
    """Return a tensor whose stage has its phases in order: first phases, then channels.

    phases: (rows, columns). The tensor itself if it lies so, else copied by a layer of its own.
    Raises RefusalError for one that is no map of so many phases.
    """
    picks, index = of(walk, value), walk.index(value)
    sides = layouts.map_shape(index.shape)[1:]
    uneven = any(side % n for side, n in zip(sides, phases, strict=True))
    if picks is None or uneven:
        raise walk.elsewhere(value)
    stage, channels = walk.stages[value.stage], len(picks)
    order = picks.transpose(1, 2, 0)
    if order.shape[:2] == phases and np.array_equal(order.ravel(), np.arange(stage.shape[0])):
        return value
    axes = [windows(picks.shape[1 + i], 1, 1, 0, sides[i], phases[i]) for i in (0, 1)]
    same = np.eye(channels, dtype=np.int64)[:, :, None, None]
    kernel = Kernel(same.astype(np.float64), same, np.ones(channels))
    label = walk.unused(f"{name}_phases")
    made, found, _ = convolved(walk, label, value, picks, kernel, 1, axes)
    made.grid = stage.grid
    return replace(found, index=found.index.reshape(index.shape))


def alike(walk: Walk, values: Sequence[Value], name: str) -> list[Value]:
    """Return tensors of equal rows and columns, held in one way: straight, or all in phases.

    Raises RefusalError for tensors that are no maps.
    """
    picks = [of(walk, value) for value in values]
    most = [max((found.shape[1 + i] for found in picks if found is not None), default=1)
            for i in (0, 1)]  # fmt: skip
    if most == [1, 1]:
        return [walk.straight(value, name) for value in values]
    return [held(walk, value, (most[0], most[1]), name) for value in values]
