"""Operators on each value by itself: rounding to a grid, clips, scales and offsets, batch norm."""

from __future__ import annotations

import math

import numpy as np

from models.importing.mapping import borders, moves, sums
from models.importing.mapping.stages import Stage
from models.importing.mapping.walk import INPUT, Value, Walk, same_grid
from models.importing.readers.foreign import Grid, Node, Reals
from models.importing.readers.grids import grid_of
from models.importing.readers.table import RefusalError, Row

# Rounding ------------------------------------------------------------------------------------


def quantise(walk: Walk, node: Node) -> Row:
    """Map the rounding to a grid: the end of an open stage, or a layer that changes grids."""
    value, grid = walk.value(node), grid_of(node)
    if grid is None:
        return moves.same(walk, node)
    if grid.bits > 8:
        raise RefusalError(
            f"activations of {grid.bits} bits", "bits", "quantise activations to 8 bits or fewer"
        )
    stage = walk.stages[value.stage]
    if "thresholds" in node.attributes:
        return compare(walk, node, value, grid)
    if same_grid(stage.grid, grid) and "levels" not in node.attributes:
        walk.put(node, value)
        return moves.row(walk, node, "rounds what is rounded so already")
    if round_to(walk, stage, grid):
        if "levels" in node.attributes and stage.op != "input":
            stage.thresholds = _table(walk, value, np.asarray(node.attributes["levels"]))
            stage.even = True
        walk.put(node, value)
        return moves.row(walk, node, "codes of the layer")
    if stage.grid is None:
        raise RefusalError(
            "rounds what other nodes read unrounded", "", "round once, before all its readers"
        )
    made = new_scale(walk, node, value)
    made.grid = grid
    walk.put(node, lies_like(walk, made, value))
    return sums.mapped(node, made)


def compare(walk: Walk, node: Node, value: Value, grid: Grid) -> Row:
    """Map thresholds of each channel: the end of an open stage, or a layer that compares codes."""
    given = np.asarray(node.attributes["thresholds"])
    if any(value.pads) and ((given <= 0).sum(axis=1) != grid.zero_point).any():
        if walk.stages[value.stage].grid is None:
            raise RefusalError(
                "compares a padded map that is not rounded, whose zeros get another code than the "
                "value 0 has", "", "pad behind the thresholds, or round before the padding",
            )  # fmt: skip
        value = borders.filled(walk, value, walk.name(node))
    found = _table(walk, value, given)
    stage = pooled = walk.stages[value.stage]
    if stage.is_open and stage.op == "max_pool":  # of sums, as of their codes
        stage = walk.stages[stage.inputs[0]]
    joins = stage.is_open and stage.op in _COMPARING and not stage.halves
    if joins and stage.op == "add":
        _settle(walk, stage, grid, found)
    if joins:
        pooled.grid = grid
    made = stage if joins else new_scale(walk, node, value)
    made.thresholds, made.grid = found, grid
    walk.put(node, value if joins else lies_like(walk, made, value))
    return moves.row(walk, node, "codes of the layer") if joins else sums.mapped(node, made)


def _table(walk: Walk, value: Value, given: Reals) -> Reals:
    """Return the thresholds of each channel of a tensor's stage; inf of those it has not.

    given: of each channel of the tensor, or one row for all. Raises RefusalError.
    """
    _, channels = walk.aligned(value)
    if len(given) not in (1, len(channels)):
        raise RefusalError(f"thresholds of {len(given)} channels, not {len(channels)}")
    found = np.full((walk.stages[value.stage].shape[0], given.shape[1]), np.inf)
    found[channels] = given
    if (found[channels] != given).any():
        raise RefusalError(
            "has several rows of thresholds for one channel that stands in its input twice",
            "thresholds", "the same for both",
        )  # fmt: skip
    return found


_COMPARING = ("conv2d", "linear", "avg_pool", "scale", "add")
"""Operations of stages whose sums thresholds can be compared with."""


def dequantise(walk: Walk, node: Node) -> Row:
    """Map the return from codes to real values: its input has these codes already.

    At the network's input it says what the codes of the host mean. Raises RefusalError where the
    codes were made with other numbers.
    """
    value, grid = walk.value(node), grid_of(node)
    stage = walk.stages[value.stage]
    if stage.op == "input" and stage.grid is None:
        stage.grid = grid
    if grid is not None and not same_grid(stage.grid, grid):
        raise RefusalError(
            "reads codes with another scale or zero point than they were made with", "scale"
        )
    return moves.same(walk, node)


def round_to(walk: Walk, stage: Stage, grid: Grid) -> bool:
    """Round a stage's result to a grid if it is not rounded yet; return whether it is now."""
    if stage.grid is not None:
        return False
    if stage.op == "input":
        stage.grid = grid
        return True
    if stage.op == "concat":
        return _round_parts(walk, stage, grid)
    if not stage.is_open:
        return False
    if stage.op == "max_pool":
        before = walk.stages[stage.inputs[0]]
        if before.grid is None and not round_to(walk, before, grid):
            return False
        if not same_grid(before.grid, grid):
            return False
    if stage.op == "add":
        _settle(walk, stage, grid, None)
    if stage.halves:  # of which one is 0 at each place, so that nothing is rounded twice
        walk.stages[stage.inputs[0]].grid = Grid(grid.scale, 0, grid.bits, signed=False)
    stage.grid = grid
    return True


def round_input(walk: Walk, limits: tuple[float, float] | None) -> None:
    """Give 8 bits to the input of a quantised network that the file does not round.

    limits: smallest and largest value of the input; None for INPUT_RANGE.
    """
    low, high = limits or INPUT_RANGE
    step = (high - low) / 255
    zero = min(max(round(-low / step), 0), 255)
    walk.stages[INPUT].grid = Grid(step, zero, 8, signed=low < 0)
    walk.table.rows.append(
        Row(
            next(iter(walk.graph.inputs)),
            "input",
            "host",
            INPUT,
            f"the file does not round its input; we do, to 8 bits from {low:g} to {high:g} "
            "(--input-range)",
        )
    )


INPUT_RANGE = (-8.0, 8.0)
"""Range of an input that a quantised file leaves open: that of normalised features."""


def _round_parts(walk: Walk, stage: Stage, grid: Grid) -> bool:
    """Round all that a concat joins to one grid, by layers of their own where it must be."""
    names = []
    for position, name in enumerate(stage.inputs):
        part = walk.stages[name]
        if not same_grid(part.grid, grid) and not round_to(walk, part, grid):
            copy = Stage(
                walk.unused(f"{stage.name}_part{position + 1}"), "scale", (name,), part.shape
            )
            copy.grid = grid
            walk.add(copy)
            name = copy.name
        names.append(name)
    if copied := [name for name in names if name not in stage.inputs]:
        _put_before(walk, copied, stage.name)
    stage.inputs, stage.grid = tuple(names), grid
    return True


def _put_before(walk: Walk, names: list[str], reader: str) -> None:
    """Order stages so that those of ``names``, the last ones, stand before the one that reads them.

    Producers come before consumers in ``walk.stages``.
    """
    moved = {name: walk.stages.pop(name) for name in names}
    behind = list(walk.stages)[list(walk.stages).index(reader) :]
    walk.stages |= moved
    walk.stages |= {name: walk.stages.pop(name) for name in behind}


def _settle(walk: Walk, stage: Stage, grid: Grid, thresholds: Reals | None) -> None:
    """Give 8 bits to the one operand of a sum that the file does not round.

    Its range is what the sum's result can tell apart: the grid, or the thresholds (out, n) of its
    channels, before the sum is scaled. Raises RefusalError for two such operands.
    """
    loose = [walk.stages[name] for name in stage.inputs if walk.stages[name].grid is None]
    if not loose:
        return
    known = [walk.stages[name].grid for name in stage.inputs if walk.stages[name].grid]
    if len(loose) > 1 or loose[0].op not in ("conv2d", "linear", "scale", "avg_pool"):
        raise RefusalError("adds maps that are not rounded", "", "round both operands of the sum")
    assert known[0] is not None
    levels = np.array([grid.range()]) if thresholds is None else thresholds
    alive = stage.gain != 0
    before = (np.where(np.isfinite(levels), levels, 0.0) - stage.bias[:, None])[alive]
    before = before / stage.gain[alive, None] if alive.any() else np.zeros((1, 1))
    low, high = float(before.min()), float(before.max())
    least, most = known[0].range()
    ends = _ends(walk, loose[0])
    low, high = max(low - most, ends[0]), min(high - least, ends[1])
    low, high = (low, high) if low < high else (min(ends[0], 0.0), max(ends[1], grid.scale))
    unit = grid.scale / float(np.abs(stage.gain[alive]).max(initial=0) or 1.0)
    step = unit * 2.0 ** -math.floor(math.log2(255 * unit / (high - low)))
    loose[0].grid = Grid(step, min(max(round(-low / step), 0), 255), 8, signed=low < 0)
    walk.table.rows.append(
        Row(stage.name, "Add", "folded", loose[0].name, f"we round it: 8 bits of {step:g}")
    )


def _ends(walk: Walk, stage: Stage) -> tuple[float, float]:
    """Return the least and the largest value that a stage of one input can have."""
    grid = walk.stages[stage.inputs[0]].grid
    if grid is None:
        return stage.clip
    low, high = grid.range()
    kernel = stage.kernels[0].values if stage.kernels else np.ones((stage.shape[0], 1, 1, 1))
    scaled = kernel * stage.gain[:, None, None, None]
    up, down = (np.maximum(part, 0).sum(axis=(1, 2, 3)) for part in (scaled, -scaled))
    low, high = min(low, 0.0), max(high, 0.0)  # a padded place is 0
    least, most = up * low - down * high + stage.bias, up * high - down * low + stage.bias
    return max(float(least.min()), stage.clip[0]), min(float(most.max()), stage.clip[1])


def new_scale(walk: Walk, node: Node, value: Value) -> Stage:
    """Return a new stage that scales the channels of a tensor's stage, by 1 so far."""
    walk.index(value)  # the input is laid out
    stage = walk.closed(value)
    made = Stage(walk.name(node), "scale", (stage.name,), stage.shape)
    walk.add(made)
    return made


def lies_like(walk: Walk, stage: Stage, value: Value) -> Value:
    """Return the tensor that lies in ``stage`` as ``value`` does in the stage that it copies."""
    return Value(stage.name, walk.index(value), value.pads)
