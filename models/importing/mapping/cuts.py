"""Cuts of a graph at one tensor: what is before it runs here, and all behind it reads it alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from models.importing.readers.foreign import ForeignGraph, in_order


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
