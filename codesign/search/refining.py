"""Refinement of the designs on the front, by what limits each of them.

A strategy changes genes at random, which seldom finds that one layer's bits cost accuracy and no
cycle, or that one layer costs most of the cycles. Here every gene of a design on the front is
changed alone, and all of a kind together: the cost model says which of that relieves the design,
the predictor what it costs, and what comes onto the front is refined in turn.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from codesign.goals import preferred
from codesign.search.engine import InnerSearch, Score
from codesign.search.pareto import Floats, Ints, pareto_mask
from codesign.search.problem import Evaluated
from codesign.search.space.genome import Genome
from codesign.search.strategies import Genes

ROUND = 16
"""Designs of the front that are refined at a time, evenly spread over it."""
ALIKE = 100_000
"""Networks with genes of a kind alike that are estimated first, on NPUs drawn at random."""


def refine(
    inner: InnerSearch, score: Score, evaluations: int, prefer: str, *, first: bool
) -> Evaluated:
    """Refine the front of what a search has found; return all feasible designs found until now.

    The first time it begins with networks of equal bits and shares of channels as well (``alike``),
    which are far apart for a strategy. score: as for ``InnerSearch.run``; of its objectives the
    first, the accuracy, counts. evaluations: candidates near others that are estimated at most, but
    for the last round. prefer: as in SearchSettings: the goal that decides is the other end of the
    front.
    """
    space, problem = inner.problem.space, inner.problem
    front, done, count = _Front(score, prefer, inner.feasible()), set[bytes](), 0
    if first:
        for candidates in alike(space):
            front.add(problem.evaluate(candidates))
            count += len(candidates)
        for candidates in alike(space, front.candidates[:, space.npu_genes]):
            front.add(problem.evaluate(candidates))
            count += len(candidates)
    evaluations += count
    while count < evaluations:
        fresh = [one for one in front.candidates if one.tobytes() not in done]
        if not fresh:
            break
        spread = np.unique(np.linspace(0, len(fresh) - 1, ROUND).round().astype(int))
        chosen = [fresh[place] for place in spread]
        done.update(one.tobytes() for one in chosen)
        near = [neighbours(one, space.genes) for one in chosen]
        found = space.canonical(np.unique(np.concatenate(near), axis=0))
        front.add(problem.evaluate(found))
        count += len(found)
    inner.consider(front.candidates, count)
    return inner.feasible()


class _Front:
    """Candidates, by falling accuracy, that no other one is as accurate and as good as."""

    def __init__(self, score: Score, prefer: str, found: Evaluated) -> None:
        self._score, self._preferred = score, preferred(prefer)
        self.candidates = np.empty((0, found.candidates.shape[1]), np.int64)
        self._goals = np.empty((0, 2))
        self.add(found)

    def add(self, found: Evaluated) -> None:
        """Take over what belongs to the front of ``found``, and drop what no longer does."""
        rows = np.flatnonzero(found.feasible)
        score = self._score(found.layers.take(rows))
        accuracy = score if score.ndim == 1 else score[:, 0]
        goals = np.column_stack([-accuracy, -self._merit(found)[rows]])
        goals = np.concatenate([self._goals, goals])
        candidates = np.concatenate([self.candidates, found.candidates[rows]])
        kept = np.flatnonzero(pareto_mask(goals))
        kept = kept[np.argsort(goals[kept, 0], kind="stable")]
        self.candidates, self._goals = candidates[kept], goals[kept]

    def _merit(self, found: Evaluated) -> Floats:
        return -found.estimate.cost(self._preferred)


def alike(space: Genome, npus: Ints | None = None) -> Iterator[Ints]:
    """Yield candidates whose genes of a kind are equal, (n, genes), for each choice of these.

    They are on the NPUs (n, npu genes), the same ones for all; other genes have their first choice.
    Without ``npus`` they are drawn at random, and only bits vary: what else is of a kind has its
    last choice, such as all channels.
    """
    active = space.active(np.zeros((1, len(space.sizes)), np.int64))[0]
    kinds = [kind for kind in space.genes.kinds if active[kind].any()]
    bits = set(space.genes.parts[1].tolist())
    levels = [
        range(top) if npus is not None or bits & set(kind.tolist()) else range(top - 1, top)
        for kind, top in ((kind, int(space.sizes[kind].max())) for kind in kinds)
    ]
    if npus is None:
        count = max(ALIKE // math.prod(map(len, levels)), 1)
        random = np.random.default_rng(0)
        npus = random.integers(0, space.sizes[space.npu_genes], (count, len(space.npu_genes)))
    npus = np.unique(npus, axis=0)
    grid = np.zeros((len(npus), len(space.sizes)), np.int64)
    grid[:, space.npu_genes] = npus
    for chosen in itertools.product(*levels):
        candidates = grid.copy()
        for kind, level in zip(kinds, chosen, strict=True):
            candidates[:, kind] = np.minimum(space.sizes[kind] - 1, level)
        yield space.canonical(candidates)


def neighbours(candidate: Ints, genes: Genes) -> Ints:
    """Return candidates near one of shape (genes,): (n, genes), itself not among them.

    Each gene has each other value, as have two of the NPU together, since an array of another form
    is as large; of a kind all have one more or less, or no more than, or no less than each value.
    """
    found = []
    for one, other in itertools.combinations(genes.parts[-1], 2):
        for pair in itertools.product(range(genes.sizes[one]), range(genes.sizes[other])):
            changed = candidate.copy()
            changed[[one, other]] = pair
            found.append(changed)
    for gene, size in enumerate(genes.sizes):
        for value in range(size):
            changed = candidate.copy()
            changed[gene] = value
            found.append(changed)
    for kind in genes.kinds:
        own, top = candidate[kind], genes.sizes[kind] - 1
        moved = [own + 1, own - 1]
        for value in range(int(top.max()) + 1):
            moved += [np.minimum(own, value), np.maximum(own, value)]
        for levels in moved:
            changed = candidate.copy()
            changed[kind] = np.clip(levels, 0, top)
            found.append(changed)
    every = np.unique(np.array(found), axis=0)
    others: Ints = every[(every != candidate).any(axis=1)]
    return others
