"""Tails of a network that are left to the host: softmax, sigmoid, argmax; or all behind a cut.

A network may be cut at one tensor: what is before it runs here, and all behind it reads it alone.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from models.errors import ModelError
from models.files.reading import quoted
from models.importing.mapping.moves import MOVES, SAME
from models.importing.readers.foreign import ForeignGraph, Node, in_order
from models.importing.readers.table import Row, Table

ORDERED = ("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "HardSigmoid", "LpNormalization")
"""Operators after which the largest output is the largest."""
OPERATORS = (*ORDERED, "ArgMax", "TopK")
_BETWEEN = (*MOVES, *SAME, "Quantise", "Dequantise")
_LENGTHS = ("ReduceL2", "ReduceL1", "Clip", "Max", "Add", "Expand", "Shape", *_BETWEEN)
"""Operators between a vector and its length, by which the host divides."""


def without_host(graph: ForeignGraph, table: Table) -> ForeignGraph:
    """Return the graph up to what the host has to do at its end, which ``table`` then names.

    Raises ModelError unless the network has one output.
    """
    if len(graph.outputs) != 1:
        names = ", ".join(map(quoted, graph.outputs[:4]))
        raise ModelError(
            f"the network has {len(graph.outputs)} outputs ({names}); an NPU gives one: join them, "
            "export the network up to one of them, or import the part before them (--partition)"
        )
    makers = {name: node for node in graph.nodes for name in node.outputs}
    output, seen = graph.outputs[0], set[str]()
    chain: list[Node] = []
    cut, end = 0, output
    while output in makers and output not in seen:
        seen.add(output)
        node = makers[output]
        length = _length(graph, makers, node)
        if not node.inputs or (node.op not in (*OPERATORS, *_BETWEEN) and length is None):
            break
        chain += [node, *(length or ())]
        output = node.inputs[0]
        if node.op in OPERATORS or length is not None:
            cut, end = len(chain), output
    if not cut:
        return graph
    for node in reversed(chain[:cut]):
        if node.operator:
            table.rows.append(Row(node.name, node.operator, "host", "", _note(node)))
    gone = {id(node) for node in chain[:cut]}
    return dataclasses.replace(
        graph,
        outputs=(end,),
        nodes=[node for node in graph.nodes if id(node) not in gone],
    )


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
