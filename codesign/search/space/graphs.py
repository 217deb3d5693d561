"""Graphs of candidates: parameters as nodes, layer by layer, for strategies that compare graphs."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Ints
from codesign.search.space.parameters import Choice
from codesign.search.strategies import Graphs


def stem(name: str) -> str:
    """Return the start of a parameter's name, which those of other layers share.

    >>> stem("weight_bits2.1"), stem("weight_bits.hidden"), stem("stages")
    ('weight_bits', 'weight_bits', 'stages')
    """
    found = re.match("[a-z_]*", name)
    assert found is not None  # the pattern matches the empty text, too
    return found.group()


def draw(
    candidates: Ints, active: NDArray[np.bool_], choices: Mapping[str, tuple[Choice, ...]],
    npu: Ints,
) -> Graphs:  # fmt: skip
    """Return graphs of candidates, shape (n, genes), whose nodes are the active parameters.

    Parameters of one place, such as a stage, a layer or the NPU, follow its first one; the first
    ones of the places that a candidate has follow each other, in the order of the genes: the way of
    the data, as far as chains of stages go. A label is a stem and a value, so that 4-bit weights
    are alike in all layers. active: shape (n, genes); choices: of the parameters by name; npu:
    genes of the NPU.
    """
    tables, kinds = _labels(choices)
    labels = np.column_stack(
        [table[gene] for table, gene in zip(tables, candidates.T, strict=True)]
    )
    count, genes = candidates.shape
    edges = np.zeros((count, genes, genes), dtype=np.bool_)
    places: dict[str, list[int]] = {}
    for gene, name in enumerate(choices):
        place = "npu" if gene in npu else name.removeprefix(stem(name))
        places.setdefault(place, []).append(gene)
    last = np.full(count, -1)
    rows = np.arange(count)
    for first, *others in places.values():
        here = active[:, first]
        linked = here & (last >= 0)
        edges[rows[linked], last[linked], first] = True
        last = np.where(here, first, last)
        for other in others:
            edges[:, first, other] = here & active[:, other]
    return Graphs(np.where(active, labels, -1), edges, kinds)


def _labels(choices: Mapping[str, tuple[Choice, ...]]) -> tuple[list[Ints], int]:
    """Return for each parameter the labels of its choices, and the number of all labels."""
    known: dict[tuple[str, Choice], int] = {}
    tables = [
        np.array([known.setdefault((stem(name), value), len(known)) for value in values])
        for name, values in choices.items()
    ]
    return tables, len(known)
