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

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.graphs import Graphs


@dataclass(frozen=True, eq=False)
class Genes:
    """Sizes and kinds of the genes: all that a strategy knows of a search space.

    >>> import numpy as np
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
    drawn: Callable[[Ints], Graphs] | None = None
    """Graphs of candidates of shape (n, genes), if the search space says what designs look like."""

    def graphs(self, candidates: Ints) -> Graphs:
        """Return graphs of candidates of shape (n, genes): ``drawn``, else chains of genes."""
        return self.drawn(candidates) if self.drawn else Graphs.chains(candidates, self.sizes)

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
