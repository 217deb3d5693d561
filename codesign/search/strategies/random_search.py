"""Random search: the baseline of every comparison."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes


class RandomSearch:
    """Random search: candidates are uniform in every gene.

    >>> RandomSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def __init__(self, genes: Genes, seed: int) -> None:
        self._sizes = genes.sizes
        self._random = np.random.default_rng(seed)

    def ask(self, count: int) -> Ints:
        return self._random.integers(0, self._sizes, (count, len(self._sizes)), dtype=np.int64)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        """Ignore the results."""
