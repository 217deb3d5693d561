"""Tails of a network that are left to the host: softmax, sigmoid, argmax; or all behind a cut.

A network may be cut at one tensor: what is before it runs here, and all behind it reads it alone.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from models.errors import ModelError
from models.importing.mapping.moves import MOVES, SAME
from models.importing.readers.foreign import ForeignGraph, Node, in_order
from models.importing.readers.table import Row, Table

ORDERED = ("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "HardSigmoid", "LpNormalization")
"""Operators after which the largest output is the largest."""
OPERATORS = (*ORDERED, "ArgMax", "TopK")
_BETWEEN = (
    "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", *SAME, "Quantise", "Dequantise",
)  # fmt: skip
"""Operators that may stand behind and between them: all outputs stay, none changes its place among
the classes."""
_LENGTHS = ("ReduceL2", "ReduceL1", "Clip", "Max", "Add", "Expand", "Shape", *MOVES, *_BETWEEN)
"""Operators between a vector and its length, by which the host divides."""
MOST_OUTPUTS = 64
"""Most outputs of a network."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Nodes that the host computes between the NPU and one output of a file. Made by ``tails``.

    tensor: the file's tensor that the NPU gives. nodes: of the host, from there to the output.
    """

    output: str
    tensor: str
    nodes: tuple[Node, ...] = ()


def tails(graph: ForeignGraph) -> list[Tail]:
    """Return the tail of each output of a graph, in the file's order.

    Nodes whose results the rest of the network reads, too, are not left to the host. Raises
    ModelError for more than MOST_OUTPUTS.
    """
    if len(graph.outputs) > MOST_OUTPUTS:
        raise ModelError(
            f"the network has {len(graph.outputs)} outputs, more than {MOST_OUTPUTS}; import the "
            "part before them (--partition)"
        )
    makers = {name: node for node in graph.nodes for name in node.outputs}
    found = [_tail(graph, makers, name) for name in dict.fromkeys(graph.outputs)]
    while True:
        ends = tuple(tail.tensor for tail in found)
        inside = {id(node) for node in in_order(dataclasses.replace(graph, outputs=ends))}
        kept = [
            Tail(tail.output, tail.output) if inside & set(map(id, tail.nodes)) else tail
            for tail in found
        ]
        if kept == found:
            return found
        found = kept


def without_host(graph: ForeignGraph, table: Table) -> ForeignGraph:
    """Return the graph up to what the host has to do at its ends, which ``table`` then names.

    Its outputs are the tensors of ``tails``, in the same order, each once.
    """
    found = tails(graph)
    gone = {id(node): node for tail in found for node in tail.nodes}
    for node in gone.values():
        if node.operator:
            table.rows.append(Row(node.name, node.operator, "host", "", _note(node)))
    return dataclasses.replace(
        graph,
        outputs=tuple(dict.fromkeys(tail.tensor for tail in found)),
        nodes=[node for node in graph.nodes if id(node) not in gone],
    )


def _tail(graph: ForeignGraph, makers: Mapping[str, Node], output: str) -> Tail:
    """Return the longest tail of an output, whatever reads the results of its nodes."""
    name, seen = output, set[str]()
    chain: list[Node] = []
    cut, end = 0, output
    while name in makers and name not in seen:
        seen.add(name)
        node = makers[name]
        length = _length(graph, makers, node)
        left = node.op in (*OPERATORS, *_BETWEEN) and node.attributes.get("largest", 1)
        if not node.inputs or not (left or length is not None):
            break
        chain += [node, *(length or ())]
        name = node.inputs[0]
        if node.op in OPERATORS or length is not None:
            cut, end = len(chain), name
    return Tail(output, end, tuple(reversed(chain[:cut])))


def _length(graph: ForeignGraph, makers: Mapping[str, Node], node: Node) -> list[Node] | None:
    """Return the nodes that compute the length by which a node divides a vector; None if none do.

    That is ``x / max(norm(x), epsilon)`` and its like: the divisor depends on x alone.
    """
    if node.op != "Div" or len(node.inputs) != 2:
        return None
    found: dict[int, Node] = {}
    left = [node.inputs[1]]
    while left:
        name = left.pop()
        if name in (node.inputs[0], "") or name in graph.constants:
            continue
        maker = makers.get(name)
        if maker is None or maker.op not in _LENGTHS:
            return None
        if id(maker) not in found:
            found[id(maker)] = maker
            left += maker.inputs
    norms = {"ReduceL2", "ReduceL1"} & {one.op for one in found.values()}
    return list(found.values()) if norms else None


def _note(node: Node) -> str:
    ordered = node.op in (*ORDERED, *_LENGTHS, "Div")
    return "the largest output stays the largest" if ordered else "of the outputs"


def cuts(graph: ForeignGraph, known: Collection[str]) -> Iterator[str]:
    """Yield the tensors that all later nodes and outputs read alone, the last one first.

    Beside one of them they read the network's input and constants; known: names of tensors whose
    values do not depend on the input. Raises ModelError for a graph that is not sound.
    """
    free = {*graph.inputs, *graph.constants, *known, ""}
    order = in_order(graph)
    readers = Counter(graph.outputs)
    for node in order:
        readers.update(set(node.inputs))
    live: dict[str, int] = {}
    found = []
    for node in order:
        for name in set(node.inputs) - free:
            live[name] -= 1
            if not live[name]:
                del live[name]
        live |= {name: readers[name] for name in node.outputs if name not in free and readers[name]}
        if len(live) == 1:
            found.append(next(iter(live)))
    yield from dict.fromkeys(reversed(found))
