"""Weights of a recurrent node's directions, and its first states, as ONNX has them.

Source of layouts and formulas: ONNX's operators LSTM, GRU and RNN, of versions 7 to 22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.importing.mapping.walk import Walk
from models.importing.readers.foreign import Node, Reals
from models.importing.readers.table import RefusalError

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
"""Operator -> blocks of rows of its weights."""
_DEFAULTS = {
    "LSTM": ("sigmoid", "tanh", "tanh"),
    "GRU": ("sigmoid", "tanh"),
    "RNN": ("tanh",),
}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of one direction of a cell, gates in ONNX's order. Made by ``of``.

    inputs: (gates * units, features); states: (gates * units, units); both biases: (gates *
    units,). first: the state before the first step, None if it is 0, (units,); memory: the same of
    an LSTM's cell.
    """

    inputs: Reals
    states: Reals
    input_bias: Reals
    state_bias: Reals
    first: Reals | None
    memory: Reals | None = None

    @property
    def units(self) -> int:
        return int(self.states.shape[1])


def of(walk: Walk, node: Node, features: int) -> list[Weights]:
    """Return the weights of each direction of a node. Raises RefusalError.

    features: of its input.
    """
    _check(node)
    directions = DIRECTIONS[node.attributes.get("direction", "forward")]
    inputs, states = _constant(walk, node, 1, "W"), _constant(walk, node, 2, "R")
    if inputs is None or states is None or inputs.ndim != 3 or states.ndim != 3:
        raise RefusalError("has no weights", "W", "three axes: directions, gates, features")
    units = int(states.shape[2])
    rows = GATES[node.op] * units
    given = int(node.attributes.get("hidden_size", units))
    wanted = (directions, rows, features), (directions, rows, units)
    if (inputs.shape, states.shape) != wanted or given != units:
        raise RefusalError(
            f"weights W {inputs.shape} and R {states.shape}, not {wanted[0]} and {wanted[1]}", "W"
        )
    biases = _constant(walk, node, 3, "B")
    biases = np.zeros((directions, 2 * rows)) if biases is None else biases
    if biases.shape != (directions, 2 * rows):
        raise RefusalError(f"a bias of {biases.shape}, not {(directions, 2 * rows)}", "B")
    first = _state(walk, node, 5, "initial_h", directions, units)
    memory = _state(walk, node, 6, "initial_c", directions, units)
    return [
        Weights(inputs[i], states[i], biases[i, :rows], biases[i, rows:], first[i], memory[i])
        for i in range(directions)
    ]


def function(node: Node) -> str:
    """Return the function of a plain cell: tanh or relu. Raises RefusalError for others."""
    given = [str(one).lower() for one in node.attributes.get("activations", ())]
    if len(set(given)) > 1 or any(one not in ("tanh", "relu") for one in given):
        raise RefusalError(f"activations {', '.join(given)}", "activations", "Tanh or Relu")
    return given[0] if given else "tanh"


def _check(node: Node) -> None:
    """Raise RefusalError for what is not mapped."""
    given = node.attributes
    direction = given.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise RefusalError(f"direction {direction}", "direction", ", ".join(DIRECTIONS))
    if given.get("layout", 0) not in (0, 1):
        raise RefusalError(f"layout {given['layout']}", "layout", "0 or 1")
    if given.get("clip"):
        raise RefusalError(f"clips at {given['clip']:g} within", "clip", "no clip")
    if given.get("input_forget", 0):
        raise RefusalError("couples its input and forget gates", "input_forget", "0")
    if len(node.inputs) > 7 and node.inputs[7]:
        raise RefusalError("has peepholes", "P", "a cell without")
    functions = tuple(str(one).lower() for one in given.get("activations", ()))
    usual = _DEFAULTS[node.op] * DIRECTIONS[direction]
    if node.op != "RNN" and functions and functions != usual:
        raise RefusalError(
            f"activations {', '.join(functions)}", "activations", ", ".join(_DEFAULTS[node.op])
        )


def _constant(walk: Walk, node: Node, position: int, what: str) -> Reals | None:
    found = walk.constant(node, position, what)
    if found is None:
        return None
    values: Reals = found.values.astype(np.float64)
    if not np.isfinite(values).all():
        raise RefusalError("its numbers are not finite (NaN or infinity)", what)
    return values


def _state(
    walk: Walk, node: Node, position: int, what: str, directions: int, units: int
) -> list[Any]:
    """Return the first state of each direction, None where it is 0. Raises RefusalError."""
    found = _constant(walk, node, position, what)
    if found is None:
        return [None] * directions
    if found.size != directions * units:
        raise RefusalError(f"{what} of {found.shape}, not of a batch of 1", what)
    return [one if one.any() else None for one in found.reshape(directions, units)]
