"""Calls of operators in programs of torch.export, with their arguments by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.importing.readers.foreign import Node


@dataclass(frozen=True, eq=False)
class Call:
    """A call of an operator. Made by ``torch_program.read``."""

    operator: str
    """Such as aten.conv2d."""
    name: str
    args: Mapping[str, Any]
    """Arguments by their names in the operator's schema."""
    outputs: tuple[str, ...]
    shapes: list[tuple[int, ...]]
    """Of the outputs."""
    reader: Any
    """``torch_program``'s reader, which knows tensors and stores constants."""

    def tensor(self, key: str) -> str:
        """Return the name of the tensor that an argument is; "" for none."""
        return str(self.reader.tensor(self.args.get(key)))

    def shape_of(self, key: str) -> tuple[int, ...]:
        """Return the shape of the tensor that an argument is."""
        return tuple(self.args[key].meta["val"].shape)

    def number(self, value: Any, what: str) -> str:
        """Store a constant of the call and return its name."""
        return str(self.reader.store(f"{self.outputs[0]}#{what}", value))

    def node(self, op: str, *inputs: str, **attributes: Any) -> list[Node]:
        """Return the call as one node."""
        return [Node(self.name, op, inputs, self.outputs, attributes, self.operator)]


def numbers(value: Any) -> list[int]:
    """Return the integers of an argument: several, or one."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    return [int(n) for n in found]


def sides(value: Any, count: int) -> list[int]:
    """Return a padding of each axis twice, as ONNX has it: all starts, then all ends."""
    found = numbers(value)
    found = found * count if len(found) == 1 else found
    return [*found, *found]
