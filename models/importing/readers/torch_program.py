"""Reader of programs of torch.export: the ATen operators of a graph, with parameters and buffers.

Programs are objects in memory, made by the caller; nothing is loaded from a file here.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from models.errors import ModelError
from models.files.reading import printable, quoted
from models.importing.readers import torch_operators
from models.importing.readers.foreign import (
    MOST_NODES,
    Constant,
    ForeignGraph,
    Memory,
    Node,
    check_shape,
)
from models.importing.readers.table import RefusalError
from models.importing.readers.torch_calls import Call


def read(program: Any, name: str) -> ForeignGraph:
    """Return the graph of a torch.export.ExportedProgram. Raises ModelError.

    name: for the network.
    """
    return _Reader(program, name).graph()


class _Reader:
    def __init__(self, program: Any, name: str) -> None:
        self.program, self.name = program, name
        self.constants: dict[str, Constant] = {}
        self.memory = Memory()
        self.inputs: dict[str, tuple[int, ...]] = {}
        self.parts: dict[str, list[str]] = {}
        """Node of several outputs -> their names."""
        self.alias: dict[str, str] = {}
        """Node that picks one of several outputs -> the name of that one."""

    def graph(self) -> ForeignGraph:
        found = list(self.program.graph.nodes)
        if len(found) > MOST_NODES:
            raise ModelError(f"the program has {len(found)} nodes, more than {MOST_NODES}")
        self._placeholders()
        nodes: list[Node] = []
        for node in found:
            if node.op == "call_function":
                nodes += self._call(node)
            elif node.op not in ("placeholder", "output"):
                raise ModelError(f"node {quoted(node.name)} of the program is a {node.op}")
        outputs = tuple(
            self.alias.get(spec.arg.name, spec.arg.name)
            for spec in self.program.graph_signature.output_specs
            if spec.kind.name == "USER_OUTPUT"
        )
        return ForeignGraph(
            self.name, "torch", self.inputs, outputs, nodes, self.constants, self.memory
        )

    def _placeholders(self) -> None:
        shapes = {
            node.name: node.meta["val"].shape
            for node in self.program.graph.nodes
            if node.op == "placeholder" and hasattr(node.meta.get("val"), "shape")
        }
        for spec in self.program.graph_signature.input_specs:
            kind, name = spec.kind.name, getattr(spec.arg, "name", "")
            if kind == "USER_INPUT" and name in shapes:
                sides = [side if isinstance(side, int) else 0 for side in shapes[name]]
                self.inputs[name] = check_shape(sides, name)
            elif kind in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR"):
                held = {**self.program.constants, **self.program.state_dict}
                self.store(name, held[spec.target])
            elif kind != "USER_INPUT":
                raise ModelError(f"the program takes a {kind.lower()}, which no network has")

    def store(self, name: str, value: Any) -> str:
        """Add a constant: a tensor or a number; return its name."""
        array: Any = value.detach().cpu() if hasattr(value, "detach") else np.asarray(value)
        if hasattr(array, "numpy"):
            array = (array.float() if array.is_floating_point() else array).numpy()
        if array.dtype.kind not in "fiub":
            raise ModelError(f"constant {quoted(name)} is of type {array.dtype}")
        check_shape([max(side, 1) for side in array.shape], name)
        self.memory.take(name, array.size)
        kind = np.float64 if array.dtype.kind == "f" else np.int64
        self.constants[name] = Constant(array.astype(kind))
        return name

    def tensor(self, argument: Any) -> str:
        """Return the name of the tensor that a node's argument is; "" for none."""
        if argument is None:
            return ""
        return self.alias.get(argument.name, str(argument.name))

    # Nodes -----------------------------------------------------------------------------------

    def _call(self, node: Any) -> list[Node]:
        if node.target is operator.getitem:
            source, index = node.args
            self.alias[node.name] = self.parts[source.name][index]
            return []
        value = node.meta.get("val")
        several = isinstance(value, list | tuple)
        values = list(value) if several else [value]
        shapes = [tuple(getattr(item, "shape", ())) for item in values]
        if any(not isinstance(side, int) for shape in shapes for side in shape):
            raise ModelError(
                f"node {quoted(node.name)} has a shape that is not known: export the program for "
                "one shape, with a batch of 1"
            )
        names = [f"{node.name}#{i}" for i in range(len(values))] if several else [node.name]
        if several:
            self.parts[node.name] = names
        name = str(getattr(node.target, "_schema", node.target)).partition("(")[0]
        kind = name.partition(".")[0].replace("::", ".")
        call = Call(kind, _label(node), _arguments(node), tuple(names), shapes, self)
        try:
            return torch_operators.nodes(call)
        except RefusalError as error:
            inputs = tuple(self.tensor(item) for item in node.all_input_nodes)
            given = {"error": error}
            return [Node(call.name, kind, inputs, tuple(names), given, kind)]


def _arguments(node: Any) -> dict[str, Any]:
    """Return the arguments of a call by name, defaults included."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        raise ModelError(f"node {quoted(node.name)} calls {printable(node.target)}")
    found = {item.name: item.default_value for item in schema.arguments if item.has_default_value()}
    found |= {item.name: value for item, value in zip(schema.arguments, node.args, strict=False)}
    return found | dict(node.kwargs)


def _label(node: Any) -> str:
    """Return the path of the module that a node comes from, or the node's own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return path.removeprefix("L['self'].") or str(node.name)
