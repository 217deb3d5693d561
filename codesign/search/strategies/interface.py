"""The interface of search strategies.

A candidate (chromosome) is an integer vector whose gene g has values 0..sizes[g]-1. Genes without
effect are left to the search space, which canonicalises candidates. All objectives are minimised;
the first is the accuracy, negated, which does not depend on the NPU. The constraint violation of a
candidate is 0 if it is feasible, else it grows with the distance from feasibility; infeasible
candidates guide the search, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.graphs import Graphs


@dataclass(frozen=True, eq=False)
class Repeated:
    """Elements of alike genes, such as stages, of which a candidate has some: the first ones.

    >>> Repeated(0, np.array([1, 2]), np.array([[1, 2], [3, 4]])).elements[1]
    array([3, 4])
    """

    count: int
    """Index of the gene that says how many there are."""
    lengths: Ints
    """Number of elements of each value of that gene, shape (values,)."""
    elements: Ints
    """Indices of the genes of each element, alike in their order, shape (most, genes of each)."""


@dataclass(frozen=True, eq=False)
class Genes:
    """Sizes and kinds of the genes: all that a strategy knows of a search space.

    >>> Genes(np.array([4, 3, 3]), kinds=(np.array([1, 2]),)).mutation_rate
    0.3333333333333333
    """

    sizes: Ints
    """Number of values of each gene, int64, shape (genes,)."""
    kinds: tuple[Ints, ...] = ()
    """For each kind, the indices of the genes that are the same parameter of different layers, such
    as all bit widths of activations: often useful to change together, if their values ascend."""
    parts: tuple[Ints, ...] = ()
    """Indices of the genes of the network, of the bit widths and of the NPU, in this order: what a
    separate flow decides one after another; empty if that is not known."""
    repeated: Repeated | None = None
    """The elements that a candidate has some of, if there are such."""
    drawn: Callable[[Ints], Graphs] | None = None
    """Graphs of candidates of shape (n, genes), if the search space says what designs look like."""

    def graphs(self, candidates: Ints) -> Graphs:
        """Return graphs of candidates of shape (n, genes): ``drawn``, else chains of genes."""
        return self.drawn(candidates) if self.drawn else Graphs.chains(candidates, self.sizes)

    def only(self, free: Ints) -> Genes:
        """Return the genes ``free``, (n,), as those of a space of their own, without parts."""
        places = np.full(len(self.sizes), -1)
        places[free] = np.arange(len(free))
        kinds = (places[kind[places[kind] >= 0]] for kind in self.kinds)
        repeated = self.repeated
        if repeated is not None:
            elements = places[repeated.elements]
            elements = elements[:, (elements >= 0).all(axis=0)]
            count = int(places[repeated.count])
            known = count >= 0 and elements.size
            repeated = Repeated(count, repeated.lengths, elements) if known else None
        return Genes(self.sizes[free], tuple(k for k in kinds if len(k) > 1), repeated=repeated)

    @property
    def mutation_rate(self) -> float:
        """Probability that mutates one gene of several values on average."""
        return 1.0 / max(int((self.sizes > 1).sum()), 1)


class Strategy(Protocol):
    """Interface of strategies; tests/codesign/search/test_strategies.py checks the contract."""

    def ask(self, count: int) -> Ints:
        """Return candidates to evaluate, int64, shape (count, genes); they may repeat earlier ones.

        Asked again before it is told anything, it draws anew.
        """
        ...

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Report results of candidates, whether asked for or not.

        Shapes: candidates (n, genes), objectives (n, m), violation (n,).
        """
        ...
