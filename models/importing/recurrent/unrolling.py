"""Recurrent nodes unrolled over time: steps, directions and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.graph.verifier import MOST_LAYERS
from models.importing.mapping import layouts
from models.importing.mapping.stages import Stage
from models.importing.mapping.walk import INPUT, Value, Walk
from models.importing.readers.foreign import Ints, Node
from models.importing.readers.table import RefusalError, Row
from models.importing.recurrent import weights as reading
from models.importing.recurrent.cells import Cell, Gru, Held, Lstm, Plain, State
from models.importing.recurrent.making import Maker

LAYERS = {"LSTM": 12, "GRU": 14, "RNN": 4}
"""Layers of a network that a step takes, at most."""
COMPUTING = {"LSTM": 6, "GRU": 8, "RNN": 3}
"""Layers among them that are instructions of a program."""
MOST_COMPUTING = 220
"""Most instructions that all steps of a node take: the longest program holds some 227."""


def recurrent(walk: Walk, node: Node) -> Row:
    """Map LSTM, GRU and RNN of ONNX: the stages of every step, one after another.

    Raises RefusalError.
    """
    value = walk.value(node)
    x = _sequence(node, value.index)
    given = reading.of(walk, node, x.shape[1])
    _check(walk, node, len(x), len(given))
    if value.stage == INPUT:
        walk.fix_input(x.T[None])
    used = [bool(name) and walk.readers[name] > 0 for name in (*node.outputs, "", "", "")]
    base = walk.name(node)
    runs = []
    for number, one in enumerate(given):
        backwards = number == 1 or node.attributes.get("direction") == "reverse"
        maker = Maker(walk, f"{base}_back" if backwards else base)
        places = range(len(x))[:: -1 if backwards else 1]
        inputs = {t: Value(value.stage, x[t]) for t in places}
        runs.append(_run(maker, _cell(node, one), inputs, used))
    first = _put(Maker(walk, base), node, runs, used)
    words = sum(one.states.size for one in given)
    note = f"{len(x)} steps, each with its own copy of {words} weights of the state"
    return Row(node.name, node.operator or node.op, "mapped", first.name, note)


@dataclass(eq=False)
class _Run:
    """Outputs of one direction: (units,) of each step wanted, by its place in the sequence."""

    outputs: dict[int, Stage] = field(default_factory=dict)
    last: Stage | None = None
    memory: Stage | None = None


def _run(maker: Maker, cell: Cell, inputs: dict[int, Value], used: Sequence[bool]) -> _Run:
    """Add all steps of one direction, in the order of ``inputs``."""
    found, state = _Run(), State()
    for position, (t, x) in enumerate(inputs.items()):
        maker.begin(f"t{t}")
        state = cell.step(maker, x, state if position else cell.first(maker, x))
        is_last = position == len(inputs) - 1
        if used[0] or (is_last and used[1]):
            found.outputs[t] = _given(maker, "h", state.output)
        if is_last:
            found.last = found.outputs.get(t)
            if used[2]:
                found.memory = _given(maker, "c", state.memory)
    return found


def _given(maker: Maker, what: str, held: Held | None) -> Stage:
    """Return a state as its values."""
    assert held is not None
    if np.array_equal(held.matrix, np.eye(len(held.matrix))):
        return held.stage
    return maker.linear(what, held.stage, held.matrix)


def _put(maker: Maker, node: Node, runs: list[_Run], used: Sequence[bool]) -> Stage:
    """Say where the outputs of a node are found; return the stage of the first of them."""
    walk, steps = maker.walk, len(runs[0].outputs)
    made: list[Stage] = []
    batch = 0 if node.attributes.get("layout", 0) else 1
    if used[0]:
        each = [maker.join(f"t{t}", *(run.outputs[t] for run in runs)) for t in range(steps)]
        made.append(maker.join("sequence", *each))
        whole = layouts.positions((steps, len(runs), made[-1].shape[0] // (steps * len(runs))))
        index = whole[:, :, None] if batch else whole[None]
        walk.put(node, Value(made[-1].name, index), 0)
    for position, parts in ((1, [run.last for run in runs]), (2, [run.memory for run in runs])):
        if used[position]:
            made.append(maker.join("hc"[position - 1], *(part for part in parts if part)))
            whole = layouts.positions((len(runs), made[-1].shape[0] // len(runs)))
            index = whole[:, None] if batch else whole[None]
            walk.put(node, Value(made[-1].name, index), position)
    return made[0]


def _cell(node: Node, given: reading.Weights) -> Cell:
    if node.op == "LSTM":
        return Lstm(given)
    if node.op == "GRU":
        return Gru(given, bool(node.attributes.get("linear_before_reset", 0)))
    return Plain(given, reading.function(node))


def _sequence(node: Node, index: Ints) -> Ints:
    """Return the positions (steps, features) of a node's input. Raises RefusalError."""
    axis = 0 if node.attributes.get("layout", 0) else 1
    if index.ndim != 3 or index.shape[axis] != 1:
        raise RefusalError(
            f"reads a tensor of shape {index.shape}", "X", "a batch of 1 and three axes"
        )
    return index[0] if axis == 0 else index[:, 0]


def _check(walk: Walk, node: Node, steps: int, directions: int) -> None:
    """Raise RefusalError for sequences that cannot be unrolled."""
    lengths = walk.constant(node, 4, "sequence_lens")
    if lengths is not None and (np.ravel(lengths.values) != steps).any():
        raise RefusalError(
            f"takes {np.ravel(lengths.values).tolist()} steps of {steps}", "sequence_lens",
            "whole sequences",
        )  # fmt: skip
    if any(one.op in ("Quantise", "Dequantise") and one.inputs[0] not in walk.graph.constants
           for one in walk.graph.nodes):  # fmt: skip
        raise RefusalError(
            "stands in a quantised network, which does not round what is within it", "",
            "import the float network, which gets its bits from examples",
        )  # fmt: skip
    layers, computing = (each[node.op] * directions for each in (LAYERS, COMPUTING))
    most = min(MOST_LAYERS // layers, MOST_COMPUTING // computing)
    if steps > most:
        raise RefusalError(
            f"{steps} steps make {steps * layers} layers, of which {steps * computing} compute: "
            f"more than {MOST_LAYERS} and {MOST_COMPUTING}", "X",
            f"at most {most} steps, by strides or pooling before it; or convolutions over time",
        )  # fmt: skip
