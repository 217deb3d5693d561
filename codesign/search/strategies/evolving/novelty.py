"""Novelty search: candidates far from all that are known, whatever their objectives."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results


class NoveltySearch:
    """EN2AS: members move, by an evolution strategy, to where few candidates were evaluated.

    The first FIRST candidates are uniform. Then a random member is perturbed PERTURBED times by
    normal noise of one step; the novelty of each is its mean distance, the share of genes that
    differ, to the NEAREST nearest candidates known. The member moves along the sum of perturbations
    times novelty, is rounded, and the moved one takes its place.

    Adapted: novelties are centred and the move is scaled to one step of the gene that moves most,
    as the published rate of .01 rounds to no move; a member that breaks the limits less is not
    replaced by one that breaks them more (Lehman and Stanley's minimal criterion), which is all
    that results do here; 100 members in place of 1000, and distances to the LATEST candidates.
    EN2AS trains a supernet so, and takes the best afterwards; here each candidate is evaluated.

    Source: Zhang et al., EN2AS, arXiv 1907.09109, IJCAI 2020.

    >>> NoveltySearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    FIRST, PERTURBED, NEAREST, LATEST = 100, 10, 10, 2000

    def __init__(self, genes: Genes, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._known = Results(genes.sizes)
        self._members: Ints = np.empty((0, len(genes.sizes)), dtype=np.int64)
        self._violation: Floats = np.empty(0)
        self._parents: dict[bytes, int] = {}
        """Places of members that candidates asked for last may take."""

    def ask(self, count: int) -> Ints:
        if len(self._members) < self.FIRST:
            return self._known.unknown(self._members[:0], count, self._random)
        places = self._random.integers(0, len(self._members), count)
        moved = np.array([self._moved(self._members[place]) for place in places])
        self._parents = {bytes(row): int(place) for row, place in zip(moved, places, strict=True)}
        return self._known.unknown(moved, count, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._known.add(candidates, objectives, violation)
        for row, broken in zip(np.ascontiguousarray(candidates), violation, strict=True):
            place = self._parents.pop(bytes(row), None)
            if len(self._members) < self.FIRST:
                self._members = np.vstack([self._members, row])
                self._violation = np.append(self._violation, broken)
            elif place is not None and broken <= max(self._violation[place], 0.0):
                self._members[place], self._violation[place] = row, broken

    def _moved(self, member: Ints) -> Ints:
        """Return a member, shape (genes,), one step nearer to what is novel."""
        sizes = self._known.sizes
        noise = self._random.standard_normal((self.PERTURBED, len(sizes))) * (sizes > 1)
        points = np.clip(np.rint(member + noise), 0, sizes - 1).astype(np.int64)
        novelty = self._novelty(points)
        way = (novelty - novelty.mean()) @ noise
        largest = np.abs(way).max()
        step = np.rint(way / largest).astype(np.int64) if largest > 0 else np.zeros_like(member)
        return np.clip(member + step, 0, sizes - 1)

    def _novelty(self, points: Ints) -> Floats:
        """Return the mean distance of points, (n, genes), to the nearest known ones, (n,)."""
        known = self._known.candidates[-self.LATEST :]
        distances = (points[:, None] != known[None]).mean(axis=2)
        nearest = np.sort(distances, axis=1)[:, : self.NEAREST]
        return np.asarray(nearest.mean(axis=1))
