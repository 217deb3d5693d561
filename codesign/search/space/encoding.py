"""SearchSpace: networks that a declaration allows, for images of one shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.search.space import accumulators, tables, topology
from codesign.search.space.choices import ACCUMULATOR
from codesign.search.space.genome import Ints
from codesign.search.space.stages import StageGenes
from models.graph.network import NetworkGraph
from models.quantisation.plan import Quantisation


@dataclass(frozen=True)
class SearchSpace(StageGenes):
    """Search space of a declaration for images of ``shape`` in ``classes`` classes.

    Sides of one row or column are never halved: signals have one row, tables of features one pixel.

    >>> from codesign.search.space.declaration import load_declaration
    >>> space = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> import numpy as np
    >>> space.params(np.zeros(len(space.sizes), dtype=np.int64))["lanes"]
    4
    """

    def layers(self, candidates: Ints, threads: int | None = None) -> LayerTable:
        """Return the MAC layers of candidates of shape (n, genes), as ``tables.layer_table``.

        Where training keeps to accumulators, they say how many bits are missing (short).
        """
        found = tables.layer_table(self, candidates, threads)
        if ACCUMULATOR in self.index:
            accumulators.shorten(self, candidates, found)
        return found

    def canonical(self, candidates: Ints) -> Ints:
        """Return candidates, shape (n, genes), in canonical form; accumulators of one width, too.

        Inactive genes are 0.
        """
        found = super().canonical(candidates)
        if ACCUMULATOR not in self.index:
            return found
        return accumulators.canonical(self, found, tables.layer_table(self, found))

    def every(self) -> Ints:
        """Return all canonical candidates, shape (n, genes), each once: for small spaces."""
        found = super().every()
        if ACCUMULATOR not in self.index:
            return found
        return np.unique(self.canonical(found), axis=0)

    def network(self, candidate: Ints) -> tuple[NetworkGraph, Quantisation]:
        """Return the network graph of one candidate, shape (genes,), as ``topology.network``."""
        return topology.network(self, candidate)
