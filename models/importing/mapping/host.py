"""Work that is left to the host at a network's end: softmax, sigmoid, the choice of the largest."""

from __future__ import annotations

import dataclasses

from models.errors import ModelError
from models.files.reading import quoted
from models.importing.mapping.moves import MOVES, SAME
from models.importing.readers.foreign import ForeignGraph, Node
from models.importing.readers.table import Row, Table

OPERATORS = ("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid", "Tanh", "ArgMax", "TopK")
_BETWEEN = (*MOVES, *SAME, "Quantise", "Dequantise")


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
    cut = 0
    while output in makers and output not in seen:
        seen.add(output)
        node = makers[output]
        if node.op not in (*OPERATORS, *_BETWEEN) or not node.inputs:
            break
        chain.append(node)
        if node.op in OPERATORS:
            cut = len(chain)
        output = node.inputs[0]
    if not cut:
        return graph
    for node in reversed(chain[:cut]):
        if node.operator:
            table.rows.append(Row(node.name, node.operator, "host", "", _note(node)))
    gone = {id(node) for node in chain[:cut]}
    return dataclasses.replace(
        graph,
        outputs=(chain[cut - 1].inputs[0],),
        nodes=[node for node in graph.nodes if id(node) not in gone],
    )


def _note(node: Node) -> str:
    order = node.op in ("Softmax", "LogSoftmax", "Sigmoid", "Tanh", "HardSigmoid")
    return "the largest output stays the largest" if order else "of the outputs"
