"""Products of two computed maps, as of squeeze and excite: by tables of squares.

``x y = (x + y)^2 / 4 - (x - y)^2 / 4``: a sum and a difference of two maps, whose codes are looked
up as squares, and the sum of both. The array multiplies by weights alone, so a product of maps has
no other way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from models.graph.activations import POSITIVE
from models.importing.mapping import sums
from models.importing.mapping.stages import Curve, Kernel, Stage
from models.importing.mapping.walk import Value, Walk
from models.importing.readers.foreign import Grid, Node, Reals
from models.importing.readers.table import RefusalError, Row

BALANCE = 4.0
"""What a float network's gate, seldom above 1, is multiplied by before it is added to a map that
may be some times larger: squares lose least where both have the same range."""


@dataclass(frozen=True)
class Factor:
    """One of two factors: its stage, what it is weighed by, and the range of its values if known.

    Made by ``product``.
    """

    stage: Stage
    weight: float = 1.0
    low: float = -math.inf
    high: float = math.inf

    def kernel(self, sign: float) -> Kernel:
        """Return the weights with which it is added (sign 1) or subtracted (-1)."""
        return Kernel(np.full((self.stage.shape[0], 1, 1, 1), sign * self.weight))


def product(walk: Walk, node: Node) -> Row:
    """Map the product of two maps, or of a map and a number for each of its channels."""
    first, second = sums.operands(walk, node)
    name = walk.name(node)
    shapes = [walk.index(value).shape for value in (first, second)]
    if math.prod(shapes[0]) < math.prod(shapes[1]):
        first, second = second, first
    if first.stage == second.stage and np.array_equal(first.index, second.index):
        return _square(walk, node, first, name)
    gated = shapes[0] != shapes[1]
    quantised = [walk.stages[value.stage].grid is not None for value in (first, second)]
    if quantised[0] != quantised[1]:
        raise RefusalError(
            "multiplies two maps of which one is not rounded", "", "round both operands"
        )
    if gated:
        weight = 1.0 if all(quantised) else BALANCE
        second = _spread(walk, first, second, name, weight)
    else:
        first, second = sums.matched(walk, first, second, name)
    stages = [walk.closed(value) for value in (first, second)]
    function = "sixteenth_square" if gated and not all(quantised) else "quarter_square"
    made = _sum_of_squares(walk, name, _factors(stages), function)
    walk.put(node, walk.add(made, walk.index(first)))
    return sums.mapped(node, made)


def _square(walk: Walk, node: Node, value: Value, name: str) -> Row:
    """Map the product of a map and itself: a quarter of the square of twice its values."""
    walk.index(value)  # the input is laid out
    stage = walk.closed(value)
    grid = stage.grid and replace(stage.grid, scale=2 * stage.grid.scale)
    label = walk.unused(f"{name}_twice")
    twice = Stage(label, "scale", (stage.name,), stage.shape, grid=grid, closed=True)
    twice.gain = twice.gain * 2
    walk.add(twice)
    made = Stage(name, "activation", (label,), stage.shape, curve=Curve("quarter_square"))
    walk.put(node, walk.add(made, walk.index(value)))
    return sums.mapped(node, made)


def _spread(walk: Walk, value: Value, gate: Value, name: str, weight: float) -> Value:
    """Return a gate, one number for each channel of a map, as a map: times ``weight``."""
    size = math.prod(walk.stages[value.stage].shape[1:])
    index, stage = walk.index(value), walk.stages[gate.stage]
    try:
        own = np.broadcast_to(gate.index, index.shape).ravel()
    except ValueError:
        own = np.zeros(0, np.int64)
    picks = np.full(walk.stages[value.stage].shape[0], -1)
    if own.size and stage.shape[1:] == (1, 1):
        picks[index.ravel() // size] = own
    if not own.size or (picks[index.ravel() // size] != own).any():
        raise RefusalError(
            f"multiplies maps of {index.shape} and {walk.index(gate).shape}",
            "shape",
            "maps of one shape, or a number for each channel",
        )
    picks = np.maximum(picks, 0)  # of channels that nothing reads
    lined = walk.straight(Value(stage.name, picks.reshape(1, -1, 1, 1)), name)
    return sums.spread(walk, lined, walk.stages[value.stage].shape[1:], name, weight)


def _factors(stages: list[Stage]) -> tuple[Factor, Factor]:
    """Return both factors, of rounded maps with weights that make their ranges alike."""
    grids = [stage.grid for stage in stages]
    if grids[0] is None or grids[1] is None:
        return Factor(stages[0]), Factor(stages[1])
    ends = [grid.range() for grid in grids if grid]
    spans = [max(abs(low), abs(high)) for low, high in ends]
    if min(spans) <= 0:
        raise RefusalError("multiplies a map that is rounded to 0", "scale")
    weights = math.sqrt(spans[1] / spans[0]), math.sqrt(spans[0] / spans[1])
    first, second = (
        Factor(stage, weight, low * weight, high * weight)
        for stage, weight, (low, high) in zip(stages, weights, ends, strict=True)
    )
    return first, second


def _sum_of_squares(walk: Walk, name: str, factors: tuple[Factor, Factor], function: str) -> Stage:
    """Add the stages of a product but the last one, a sum, which is returned."""
    squares = []
    for sign, word, prefix in ((1.0, "sum", ""), (-1.0, "difference", "minus_")):
        first, second = factors
        shape, inputs = first.stage.shape, (first.stage.name, second.stage.name)
        kernels = (first.kernel(1.0), second.kernel(sign))
        label = walk.unused(f"{name}_{word}")
        added = Stage(label, "add", inputs, shape, kernels, shape[0], closed=True)
        if sign > 0 and all(_is_positive(walk, factor.stage) for factor in factors):
            added.clip_to(0.0, math.inf)
        label = walk.unused(f"{name}_{word}_square")
        square = Stage(label, "activation", (added.name,), shape, curve=Curve(prefix + function))
        if first.high < math.inf:
            added.grid, square.grid = _grids(factors, sign)
        square.closed = True
        walk.add(added)
        walk.add(square)
        squares.append(square)
    plain = Kernel(np.ones((squares[0].shape[0], 1, 1, 1)))
    inputs = (squares[0].name, squares[1].name)
    return Stage(name, "add", inputs, squares[0].shape, (plain, plain), squares[0].shape[0])


def _grids(factors: tuple[Factor, Factor], sign: float) -> tuple[Grid, Grid]:
    """Return the grids of a sum or difference and of its square.

    Both depend on one number, so that the tables of all products are alike.
    """
    first, second = factors
    ends = sorted((sign * second.low, sign * second.high))
    low, high = first.low + ends[0], first.high + ends[1]
    signed = low < 0
    most = max(-low, high)
    grid = Grid(most / 127, 128, 8, signed=True) if signed else Grid(most / 255, 0, 8, signed=False)
    step = most * most / 4 / 255
    return grid, Grid(step, 0 if sign > 0 else 255, 8, signed=sign < 0)


def _is_positive(walk: Walk, stage: Stage) -> bool:
    """Return True if no value of a stage is below 0, as far as its kind says."""
    while stage.grid is None:
        if stage.clip[0] >= 0 or (stage.curve and stage.curve.function in POSITIVE):
            return True
        parts: list[Reals] = [stage.gain, stage.bias, *(one.values for one in stage.kernels)]
        passes_on = len(stage.inputs) == 1 and stage.op != "activation"
        if not passes_on or any(part.min(initial=0.0) < 0 for part in parts):
            return False
        stage = walk.stages[stage.inputs[0]]
    return stage.grid.range()[0] >= 0
