"""One step of a recurrent cell as stages, from weights in ONNX's order.

Products of gates and states are differences of squares (``mapping.products``), which are kept as
they are: with ``p = ((x + y)^2 / 4, (x - y)^2 / 4)`` the product is ``(1, -1) p``, and the linear
layers that read it have these signs in their weights. tanh(x) is ``2 sigmoid(2 x) - 1``. So all
that a step keeps or joins lies in codes of 0 and up, all sigmoids of a network share one table, and
all squares of a kind another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.importing.mapping.stages import Stage
from models.importing.mapping.walk import Value
from models.importing.readers.foreign import Reals
from models.importing.recurrent.making import Maker
from models.importing.recurrent.weights import Weights

SIGMOID, MEMORY, STATE, RESET, TANH = "cell", "cell_memory", "cell_state", "cell_reset", "cell_tanh"
"""Tables: of sigmoids, of squares in an LSTM's cell, in outputs, of a GRU's reset, and tanh."""


@dataclass(frozen=True, eq=False)
class Held:
    """Values (units,) held as a stage of others: ``matrix @ stage``. Made by ``Lstm`` and others.

    matrix: (units, values).
    """

    stage: Stage
    matrix: Reals


@dataclass(frozen=True, eq=False)
class State:
    """State between steps; None stands for zeros. Made by ``Lstm`` and others.

    output: of the units; memory: an LSTM's cell.
    """

    output: Held | None = None
    memory: Held | None = None


@dataclass(frozen=True, eq=False)
class Plain:
    """h = f(W x + R h + b), f being tanh or ReLU. Made by ``unrolling``."""

    weights: Weights
    function: str

    def first(self, maker: Maker, x: Value) -> State:
        """Return the first state as a layer of constants."""
        if self.weights.first is None:
            return State()
        made = maker.held("first", x, self.weights.first)
        return State(Held(made, np.eye(self.weights.units)))

    def step(self, maker: Maker, x: Value, state: State) -> State:
        """Add the stages of one step; x: index (features,)."""
        w = self.weights
        total = maker.read("input", x, w.inputs, w.input_bias + w.state_bias)
        if state.output:
            total = maker.sum("gates", total, maker.linear("state", state.output.stage, w.states))
        if self.function == "relu":
            total.clip_to(0.0, np.inf)
        else:
            total = maker.curve(total, "tanh", TANH)
        return State(Held(total, np.eye(w.units)))


@dataclass(frozen=True, eq=False)
class Lstm:
    """c = f c + i g, h = o tanh(c). Made by ``unrolling``.

    i, f, o = sigmoid(W x + R h + b), g = tanh(...).
    """

    weights: Weights

    def first(self, maker: Maker, x: Value) -> State:
        """Return the first state, whose parts are squares as all states."""
        return State(
            _first(maker, x, self.weights.first, "first", STATE),
            _first(maker, x, self.weights.memory, "first_memory", MEMORY),
        )

    def step(self, maker: Maker, x: Value, state: State) -> State:
        """Add the stages of one step; x: index (features,)."""
        w, n = self.weights, self.weights.units
        order = _blocks(n, 0, 2, 1, 3)  # i, f, o, g of ONNX's i, o, f, g
        factor = np.repeat([1.0, 1.0, 1.0, 2.0], n)
        bias = (w.input_bias + w.state_bias)[order] * factor
        total = maker.read("input", x, w.inputs[order] * factor[:, None], bias)
        if state.output:
            own = w.states[order] * factor[:, None] @ state.output.matrix
            total = maker.sum("gates", total, maker.linear("state", state.output.stage, own))
        gates = maker.curve(total, "sigmoid", SIGMOID)
        one, none = np.eye(n), np.zeros((n, n))
        i, f, o = np.hstack([one, *[none] * 3]), _at(n, 1, 4), _at(n, 2, 4)
        g, ones = 2 * _at(n, 3, 4), np.ones(n)
        rows, shift = [i + g, i - g], [-ones, ones]
        joined = gates
        if state.memory:
            joined = maker.join("joined", gates, state.memory.stage)
            c = state.memory.matrix
            zero = np.zeros_like(c)
            rows = [np.hstack([row, zero]) for row in rows]
            rows += [np.hstack([f, c]), np.hstack([f, -c])]
            shift += [0 * ones, 0 * ones]
        sums = maker.linear("products", joined, np.vstack(rows), np.concatenate(shift))
        memory = _difference(maker.curve(sums, "quarter_square", MEMORY), n)
        curved = maker.curve(
            maker.linear("memory", memory.stage, 2 * memory.matrix), "sigmoid", SIGMOID
        )
        both = maker.join("output", joined, curved)
        o = np.hstack([o, np.zeros((n, both.shape[0] - 5 * n)), 0 * one])
        t = np.hstack([np.zeros((n, both.shape[0] - n)), 2 * one])
        sums = maker.linear(
            "output_products", both, np.vstack([o + t, o - t]), np.concatenate([-ones, ones])
        )
        return State(_difference(maker.curve(sums, "quarter_square", STATE), n), memory)


@dataclass(frozen=True, eq=False)
class Gru:
    """h = z h + (1 - z) n, n = tanh(W x + r (R h) + b). Made by ``unrolling``.

    z, r = sigmoid(W x + R h + b). reset_after: r (R h + b), as torch has it (ONNX's
    ``linear_before_reset``), else R (r h) + b.
    """

    weights: Weights
    reset_after: bool

    def first(self, maker: Maker, x: Value) -> State:
        """Return the first state, which is squares as all states."""
        return State(_first(maker, x, self.weights.first, "first", STATE))

    def step(self, maker: Maker, x: Value, state: State) -> State:
        """Add the stages of one step; x: index (features,)."""
        w, n = self.weights, self.weights.units
        bias = (w.input_bias + w.state_bias)[: 2 * n]
        total = maker.read("input", x, w.inputs[: 2 * n], bias)
        if state.output:
            own = w.states[: 2 * n] @ state.output.matrix
            total = maker.sum("gates", total, maker.linear("state", state.output.stage, own))
        gates = maker.curve(total, "sigmoid", SIGMOID)
        joined = gates
        if state.output:
            joined = maker.join("joined", gates, state.output.stage)
        new = self._new(maker, x, joined, state)
        both = maker.join("output", joined, new)
        one, ones = np.eye(n), np.ones(n)
        z = np.hstack([one, np.zeros((n, both.shape[0] - n))])
        fresh = np.hstack([np.zeros((n, both.shape[0] - n)), 2 * one])
        rows, shift = [-z + fresh, -z - fresh], [0 * ones, 2 * ones]
        if state.output:
            h = np.hstack([np.zeros((n, 2 * n)), state.output.matrix, 0 * one])
            rows, shift = [*rows, z + h, z - h], [*shift, 0 * ones, 0 * ones]
        sums = maker.linear("output_products", both, np.vstack(rows), np.concatenate(shift))
        return State(_difference(maker.curve(sums, "quarter_square", STATE), n))

    def _new(self, maker: Maker, x: Value, joined: Stage, state: State) -> Stage:
        """Return sigmoid(2 y), with n = tanh(y)."""
        w, n = self.weights, self.weights.units
        states, bias, inner = w.states[2 * n :], w.input_bias[2 * n :], w.state_bias[2 * n :]
        outer = bias if self.reset_after else bias + inner
        total = maker.read("new_input", x, 2 * w.inputs[2 * n :], 2 * outer)
        inner = inner if self.reset_after else 0 * inner
        r = _at(n, 1, 2)
        if state.output:
            h = state.output.matrix
            # Of what r is multiplied by, with the bias inner.
            y, after = (states @ h, np.eye(n)) if self.reset_after else (h, states)
            rows = np.vstack([np.hstack([r, y]), np.hstack([r, -y])])
            sums = maker.linear("reset", joined, rows, np.concatenate([inner, -inner]))
            held = _difference(maker.curve(sums, "quarter_square", RESET), n)
            part = maker.linear("new_state", held.stage, 2 * after @ held.matrix)
            total = maker.sum("new", total, part)
        elif inner.any():
            part = maker.linear("new_state", joined, 2 * inner[:, None] * r)
            total = maker.sum("new", total, part)
        return maker.curve(total, "sigmoid", SIGMOID)


Cell = Plain | Lstm | Gru
"""A kind of cell with its weights."""


def _at(units: int, block: int, count: int) -> Reals:
    """Return the matrix that picks one of ``count`` blocks of a vector."""
    found = np.zeros((units, count * units))
    found[:, block * units : (block + 1) * units] = np.eye(units)
    return found


def _blocks(units: int, *order: int) -> list[int]:
    """Return the rows of blocks in another order."""
    return [block * units + row for block in order for row in range(units)]


def _difference(squares: Stage, units: int) -> Held:
    """Return the sum of products whose squares of sums and of differences take turns."""
    one = np.eye(units)
    return Held(squares, np.hstack([one, -one] * (squares.shape[0] // (2 * units))))


def _first(maker: Maker, x: Value, values: Reals | None, what: str, table: str) -> Held | None:
    """Return constants as the difference of two squares, None for zeros."""
    if values is None:
        return None
    roots = 2 * np.sqrt(np.concatenate([np.maximum(values, 0), np.maximum(-values, 0)]))
    made = maker.curve(maker.held(what, x, roots), "quarter_square", table)
    return _difference(made, len(values))
