"""Graphs of candidates, for strategies that compare designs as graphs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.search.pareto import Ints


@dataclass(frozen=True, eq=False)
class Graphs:
    """Directed graphs of n candidates with labelled nodes; absent nodes have no edges.

    >>> Graphs.chains(np.array([[2, 0], [1, 1]]), np.array([3, 2])).labels.tolist()
    [[2, 3], [1, 4]]
    """

    labels: Ints
    """Label of each node, 0..kinds-1, or -1 for one that the candidate lacks, shape (n, nodes)."""
    edges: NDArray[np.bool_]
    """True where data goes from the node of the row to that of the column, (n, nodes, nodes)."""
    kinds: int
    """Number of different labels."""

    @classmethod
    def chains(cls, candidates: Ints, sizes: Ints) -> Graphs:
        """Return graphs whose nodes are genes in their order, each with an edge to the next.

        A label is a value of a gene. candidates: shape (n, genes); sizes: of the genes, (genes,).
        """
        count, genes = candidates.shape
        edges = np.broadcast_to(np.eye(genes, k=1, dtype=np.bool_), (count, genes, genes))
        return cls(candidates + np.cumsum(sizes) - sizes, edges, int(sizes.sum()))
