"""The neutral graph that every reader makes: nodes in ONNX's vocabulary on real values.

Whatever a file says of quantisation becomes ``Quantise`` nodes (round to a grid of codes) and
``Dequantise`` nodes (the input already lies on this grid); all else computes in real numbers, in
ONNX's axis order (batch, channels, rows, columns).
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.files.reading import check_memory, printable, quoted
from models.graph.verifier import MOST_ELEMENTS

Reals = NDArray[np.float64]
Ints = NDArray[np.int64]
REALS = ("float16", "bfloat16", "float32", "float64")
"""Types of real numbers."""
MOST_NODES = 100_000
"""Most nodes of a file."""
MOST_AXES = 8
"""Most axes of a tensor."""
BYTES_EACH = 16
"""Memory of a value of a constant, with its code."""
DAMAGE = (
    struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError,
    AssertionError,
)  # fmt: skip
"""What libraries and arithmetic raise for numbers, offsets and shapes that make no sense."""
MOST_BITS = 32
"""Most bits of a code."""


@dataclass(frozen=True)
class Grid:
    """Codes of a tensor: ``value = scale * (code - zero_point)``, codes 0..2**bits - 1.

    An int8 value q of a file is the code q + 128. low, high: the codes that occur (narrow ranges
    leave out code 0).

    >>> Grid(0.5, 128, 8, signed=True).range()
    (-64.0, 63.5)
    """

    scale: float
    zero_point: int
    bits: int
    signed: bool
    low: int = 0
    high: int = -1
    """-1 stands for the largest code."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and 0 < self.scale < 1e30):
            raise ModelError(f"a scale must be a finite number > 0, not {self.scale:g}")
        if not 1 <= self.bits <= MOST_BITS:
            raise ModelError(f"codes must have 1 to {MOST_BITS} bits, not {self.bits}")
        if self.high < 0:
            object.__setattr__(self, "high", (1 << self.bits) - 1)
        if not 0 <= self.low <= self.high < 1 << self.bits:
            raise ModelError(f"{self.bits} bits have no codes {self.low} to {self.high}")

    def range(self) -> tuple[float, float]:
        """Return the smallest and the largest value of the codes low..high."""
        return (
            self.scale * (self.low - self.zero_point),
            self.scale * (self.high - self.zero_point),
        )


@dataclass(frozen=True, eq=False)
class Constant:
    """Values that a file holds, with their codes where it quantises them.

    Made by ``imports.read``. values: float64 or int64. codes: int64 like values, ``values = codes *
    scale``; scale: float64 that broadcasts to them. offset: zero point of the weights beyond the
    middle of their codes; only 0 can be multiplied with.
    """

    values: NDArray[Any]
    codes: Ints | None = None
    scale: Reals | None = None
    offset: int = 0
    kind: np.dtype[Any] | None = None
    """Type in which the file computes with it; None where the format leaves that to its values."""

    @classmethod
    def of(cls, array: NDArray[Any]) -> Constant:
        """Return an array of a file whose arithmetic keeps to types, which wrap and round.

        >>> Constant.of(np.array([200], np.uint8)).values.dtype.name
        'int64'
        """
        is_real = array.dtype.name in REALS
        return cls(array.astype(np.float64 if is_real else np.int64), kind=array.dtype)

    @property
    def own(self) -> NDArray[Any]:
        """The values in their type in the file."""
        return self.values if self.kind is None else self.values.astype(self.kind)


@dataclass(frozen=True, eq=False)
class Node:
    """Operator of a file with the names of the tensors that it reads ("" for none) and makes.

    Made by ``imports.read``.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    operator: str = ""
    """Name of the operator in the file, if it is another than ``op``."""


@dataclass
class Memory:
    """Memory that a file's constants, what is computed of them, and positions take together.

    >>> Memory().take("weights", 1000)
    """

    bytes: int = 0

    def take(self, what: str, values: int) -> None:
        """Count numbers of a tensor, before they are made. Raises FileError for too many in all.

        A file may say them many times over: by operators, or tensors that share its bytes.
        """
        self.bytes += BYTES_EACH * values
        check_memory(f"tensors up to {quoted(what)}", self.bytes)


@dataclass(eq=False)
class ForeignGraph:
    """Nodes, constants, inputs with their shapes (batch included) and outputs of a file.

    Made by ``imports.read``.
    """

    name: str
    format: str
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    nodes: list[Node]
    constants: dict[str, Constant]
    memory: Memory


def check_shape(shape: Sequence[int], what: str) -> tuple[int, ...]:
    """Return a shape of positive sides of a tensor that memory can hold. Raises ModelError.

    what: the tensor's name, for messages.

    >>> check_shape([1, 3, 32, 32], "image")
    (1, 3, 32, 32)
    """
    found = tuple(int(side) for side in shape)
    if len(found) > MOST_AXES or any(side < 1 for side in found):
        raise ModelError(
            f"tensor {quoted(what)} has shape {printable(found)}: all sides must be known and >= 1 "
            "(export the model with a fixed input size)"
        )
    if math.prod(found) > MOST_ELEMENTS:
        raise ModelError(
            f"tensor {quoted(what)} of shape {printable(found)} has more than {MOST_ELEMENTS} "
            "elements"
        )
    return found


def in_order(graph: ForeignGraph) -> list[Node]:
    """Return the nodes that the outputs need, producers before consumers.

    Raises ModelError for a tensor that nothing makes or two nodes make, and for a cycle.
    """
    if len(graph.nodes) > MOST_NODES:
        raise ModelError(f"the file has {len(graph.nodes)} nodes, more than {MOST_NODES}")
    made = Counter(name for node in graph.nodes for name in node.outputs if name)
    twice = [name for name, count in made.items() if count > 1 or name in graph.inputs]
    if twice:
        raise ModelError(f"tensor {quoted(twice[0])} is made twice")
    producers = {name: node for node in graph.nodes for name in node.outputs}
    order: list[Node] = []
    done: set[int] = set()
    begun: set[int] = set()
    stack = [producers[name] for name in reversed(graph.outputs) if name in producers]
    while stack:
        node = stack.pop()
        if id(node) in done:
            continue
        if id(node) in begun:
            done.add(id(node))
            order.append(node)
            continue
        begun.add(id(node))
        stack.append(node)
        for name in node.inputs:
            if not name or name in graph.inputs:
                continue
            if name not in producers:
                if name in graph.constants:
                    continue
                raise ModelError(
                    f"node {quoted(node.name)} reads tensor {quoted(name)}, which nothing makes"
                )
            before = producers[name]
            if id(before) in begun and id(before) not in done:
                raise ModelError(
                    f"the nodes {quoted(before.name)} and {quoted(node.name)} lie on a cycle"
                )
            stack.append(before)
    missing = [name for name in graph.outputs if name not in producers and name not in graph.inputs]
    if missing:
        raise ModelError(f"nothing makes the output {quoted(missing[0])}")
    return order
