"""The walk along a foreign graph, node by node, that makes stages of it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from models.errors import ModelError
from models.files.reading import FileError, printable, quoted
from models.graph.layers import Shape
from models.importing.mapping import layouts
from models.importing.mapping.stages import Kernel, Stage, unused
from models.importing.readers.foreign import (
    DAMAGE,
    Constant,
    ForeignGraph,
    Grid,
    Ints,
    Node,
    in_order,
)
from models.importing.readers.table import RefusalError, Row, Table, unknown

INPUT = "input"
"""Name of the stage of the network's input."""
INPUT_ARRAYS = 4
"""Arrays of the input's size that are made of its positions."""
RECURRENT = ("LSTM", "GRU", "RNN")
"""Operators whose input is a sequence (steps, batch, features)."""
LONGEST_NAME = 40
"""Most characters of a node's name that its layer's name keeps."""


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the file: where its values lie in a stage, and zeros around them.

    Made by ``Walk``. index: positions in the stage's map (``layouts``); of the input they are those
    of the file's tensor until ``Walk.fix_input`` has said how the host lays it out.
    """

    stage: str
    index: Ints
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Zeros (top, left, bottom, right) that the next layer reads around the map."""


class Walk:
    """Stages made so far, and where each tensor of the file is found in them.

    Made by ``walk``.
    """

    def __init__(self, graph: ForeignGraph, table: Table) -> None:
        self.graph, self.table, self.memory = graph, table, graph.memory
        self.constants: dict[str, Constant] = dict(graph.constants)
        self.values: dict[str, Value] = {}
        self.stages: dict[str, Stage] = {}
        self.readers: Counter[str] = Counter(graph.outputs)
        self.input_order: Ints | None = None
        """Flat position in the file's input of every value of our input."""
        self._inverse: Ints | None = None

    # Tensors ---------------------------------------------------------------------------------

    def value(self, node: Node, position: int = 0) -> Value:
        """Return an input of a node that is no constant. Raises RefusalError."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name not in self.values and name not in self.constants:
            what = "an output that is not made of its node" if name else "missing"
            raise RefusalError(f"input {position} is {what}")
        if name not in self.values:
            raise RefusalError(
                f"input {position} is a constant; only weights and what is added or multiplied "
                "may be",
            )
        found = self.values[name]
        if self.readers[name] > 1:
            self.stages[found.stage].closed = True
        return found

    def constant(self, node: Node, position: int, what: str) -> Constant | None:
        """Return a constant input of a node; None if it has none there. Raises RefusalError."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.constants:
            raise RefusalError(f"{what} must be constant, and is computed", what)
        return self.constants[name]

    def numbers(self, node: Node, position: int, what: str) -> list[int] | None:
        """Return integers from an attribute or, if it is absent, from a constant input."""
        if what in node.attributes:
            return [int(n) for n in np.ravel(node.attributes[what])]
        found = self.constant(node, position, what)
        return None if found is None else [int(n) for n in np.ravel(found.values)]

    def index(self, value: Value) -> Ints:
        """Return the positions of a tensor's values in its stage's map; the input is laid out."""
        if value.stage != INPUT:
            return value.index
        if self._inverse is None:
            self.fix_input(value.index)
        assert self._inverse is not None
        return self._inverse[value.index]

    def fix_input(self, view: Ints) -> None:
        """Lay the input out as ``view`` shows it, unless an earlier reader has said how.

        A view of a part of the input, of a map laid flat, or of more axes leaves the file's own
        order.
        """
        if self._inverse is not None:
            return
        stage = self.stages[INPUT]
        try:
            shape = layouts.map_shape(view.shape)
        except RefusalError:
            shape = (0, 0, 0)
        order = view.ravel()
        own = next(iter(self.graph.inputs.values()))
        if view.ndim < 3 <= len(own):
            shape = (0, 0, 0)
        count = stage.shape[0]
        if not shape[0] or order.size != count or (np.bincount(order, minlength=count) != 1).any():
            shape, order = self.own_shape(), np.arange(count)
        self.input_order, self._inverse = order, np.empty(count, np.int64)
        self._inverse[order] = np.arange(count)
        stage.shape = shape
        stage.gain, stage.bias = np.ones(shape[0]), np.zeros(shape[0])

    def own_shape(self) -> Shape:
        """Return the map of the file's input, or of a recurrent cell's. Raises RefusalError."""
        own = next(iter(self.graph.inputs.values()))
        recurs = any(node.op in RECURRENT for node in self.graph.nodes)
        is_sequence = recurs and len(own) == 3 and own[1] == 1
        return (own[0], 1, own[2]) if is_sequence else layouts.map_shape(own)

    def put(self, node: Node, value: Value, position: int = 0) -> None:
        """Say where an output of a node is found."""
        read = [self.values[name].index for name in node.inputs if name in self.values]
        if not any(np.may_share_memory(value.index, index) for index in read):
            self.memory.take(node.outputs[position], value.index.size)
        self.values[node.outputs[position]] = value

    # Stages ----------------------------------------------------------------------------------

    def add(self, stage: Stage, like: Ints | None = None) -> Value:
        """Add a stage and return its whole map as a tensor (1, channels, rows, columns).

        like: layout of the tensor instead, where the stage keeps that of its input.
        """
        self.stages[stage.name] = stage
        return Value(stage.name, layouts.positions((1, *stage.shape)) if like is None else like)

    def name(self, node: Node) -> str:
        """Return a layer name for a node: of letters, digits, '_', '.', '-', and used once."""
        return self.unused(self.layer_name(node.name or node.op, node.op.lower()))

    def layer_name(self, text: str, kind: str = "tensor") -> str:
        """Return a name of a layer's characters for a node's or tensor's; kind: before a number."""
        # Converters join names by ";" and scopes by "/": the last two scopes tell enough.
        scopes = text.rpartition(";")[2].strip("/").split("/")
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(scopes[-2:])).strip("_")[-LONGEST_NAME:]
        base = base if base[:1].isalpha() else f"{kind}_{base}".rstrip("_")
        return re.sub(r"[^A-Za-z0-9_.-]", "_", base)

    def unused(self, base: str) -> str:
        """Return ``base``, with a number behind it if a stage has that name."""
        return unused(base, self.stages)

    def closed(self, value: Value) -> Stage:
        """Return the stage of a tensor that another layer is to read: nothing joins it any more."""
        stage = self.stages[value.stage]
        stage.closed = True
        return stage

    def aligned(self, value: Value) -> tuple[Value, Ints]:
        """Return a tensor whose rows and columns lie as in its stage, and its channels there.

        Raises RefusalError where they do not.
        """
        index = self.index(value)
        found = layouts.channels(index, self.stages[value.stage].shape)
        if found is None:
            raise self.elsewhere(value)
        return value, found

    def elsewhere(self, value: Value) -> RefusalError:
        """Return the refusal of a tensor that is no map."""
        return RefusalError(
            f"its input of shape {self.index(value).shape} holds values of other places than rows "
            "and columns of one map, which only a fully connected layer can read",
            "shape",
        )

    def straight(self, value: Value, name: str) -> Value:
        """Return a tensor whose channels lie as in its stage: by a 1x1 layer if they do not."""
        _, found = self.aligned(value)
        stage = self.stages[value.stage]
        if np.array_equal(found, np.arange(stage.shape[0])):
            return value
        self.memory.take(name, len(found) * stage.shape[0])
        picks = np.zeros((len(found), stage.shape[0], 1, 1), np.int64)
        picks[np.arange(len(found)), found] = 1
        stage.closed = True
        copy = Stage(
            self.unused(f"{name}_order"),
            "conv2d",
            (stage.name,),
            (len(found), *stage.shape[1:]),
            (Kernel(picks.astype(np.float64), picks, np.ones(len(found))),),
            grid=stage.grid,
        )
        self.add(copy)
        # The file goes on counting the axes of its own tensor, of a sequence or a vector, too.
        return replace(value, stage=copy.name, index=layouts.positions(value.index.shape))


Handler = Callable[[Walk, Node], Row]


def walk(
    graph: ForeignGraph,
    table: Table,
    handlers: Mapping[str, Handler],
    fold: Handler,
    check: Callable[[Walk, Node], None],
) -> Walk:
    """Make stages of a graph; what cannot be mapped is refused in ``table``, all of it.

    handlers: what makes a stage of a node, by its ``op``; fold: the same for nodes of constants
    alone; check: raises RefusalError for a node behind a refused one that would be refused, too.
    Raises ModelError where the graph itself is not sound.
    """
    nodes = in_order(graph)
    found = Walk(graph, table)
    found.readers += Counter(name for node in nodes if node.op != "Shape" for name in node.inputs)
    _begin(found)
    lost: set[str] = set()
    for node in nodes:
        known = [name in found.constants for name in node.inputs if name]
        handler = fold if all(known) else handlers.get(node.op)
        try:
            if "error" in node.attributes:
                raise node.attributes["error"]
            if handler is None:
                raise unknown(node.op)
            if lost.intersection(node.inputs):
                lost.update(node.outputs)
                check(found, node)
                continue
            row = handler(found, node)
        except FileError:
            raise
        except ModelError as error:
            table.refuse(node, error)
            lost.update(node.outputs)
            continue
        except DAMAGE as error:
            table.refuse(node, ModelError(f"is damaged ({printable(error)})"))
            lost.update(node.outputs)
            continue
        if node.operator:
            table.rows.append(row)
    return found


def _begin(found: Walk) -> None:
    """Add the input's stage. Raises ModelError unless there is one input."""
    inputs = found.graph.inputs
    if len(inputs) != 1:
        raise ModelError(
            f"the network has {len(inputs)} inputs ({', '.join(map(quoted, list(inputs)[:4]))}); "
            "an NPU takes one: join them along the channels"
        )
    ((name, shape),) = inputs.items()
    found.memory.take(name, INPUT_ARRAYS * math.prod(shape))
    index = layouts.positions(shape)
    found.own_shape()
    found.stages[INPUT] = Stage(INPUT, "input", (), (index.size, 1, 1))
    found.values[name] = Value(INPUT, index)
    if found.graph.format == "tflite" and index.ndim == 4:
        found.fix_input(index.transpose(0, 3, 1, 2))


def same_grid(first: Grid | None, second: Grid | None) -> bool:
    """Return True if two grids hold the same codes for the same values."""
    if first is None or second is None:
        return first is second
    near = abs(first.scale / second.scale - 1) < 1e-6
    ends = (first.zero_point, first.bits, first.low, first.high)
    return near and ends == (second.zero_point, second.bits, second.low, second.high)
