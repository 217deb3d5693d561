"""Inner search loop on estimates of thousands of candidates, without training or synthesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import violation
from codesign.search import strategies
from codesign.search.pareto import Floats, Ints
from codesign.search.problem import Evaluated, Problem, front, with_all_npus
from codesign.search.strategies import Strategy
from models.tasks.scores import wilson

__all__ = ["Evaluated", "InnerSearch", "Problem", "Score", "front", "with_all_npus"]

SAMPLES = 512
"""Candidates drawn uniformly that a search starts with; those drawn twice count once."""
BATCH = 40
"""Most new candidates that are evaluated per round of the strategy."""
WIDER = 16_384
"""Candidates drawn when nothing fits; a space of up to so many designs is enumerated then."""
LEANING = 2048
"""Most candidates evaluated for each limit that is met last of all, when nothing fits."""
MOST_REPEATS = 20
"""Most batches asked for per round, one after the other, until enough new candidates are found."""
Score = Callable[[LayerTable], Floats]
"""Predicted objectives to maximise: layers of n networks -> array of shape (n,), the accuracy, or
(n, n_objectives), of which column 0 is the accuracy."""


class InnerSearch:
    """Search of a problem on estimates alone, which goes on from what it has found.

    >>> from codesign.cost.area.model import AreaModel
    >>> from codesign.cost.data import dataset
    >>> from codesign.results import Budget
    >>> from codesign.search.accuracy.features import capacity, network_features
    >>> from codesign.search.space.declaration import load_declaration
    >>> from codesign.search.space.encoding import SearchSpace
    >>> space = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> problem = Problem(space, AreaModel.fit(dataset.read()[:40]), Budget(luts=10_000))
    >>> search = InnerSearch(problem, "evolution", seed=0)
    >>> found = search.run(lambda layers: capacity(network_features(layers)), evaluations=256)
    >>> bool(found.feasible.all()), search.evaluations
    (True, 768)
    """

    def __init__(self, problem: Problem, strategy: str, seed: int) -> None:
        """Evaluate the SAMPLES candidates drawn uniformly, with which every ``run`` starts.

        strategy: a name of strategies.STRATEGIES. Raises UserError for another one.
        """
        strategies.make(strategy, problem.space.genes, seed)  # raises before any work
        self.problem, self.strategy, self._seed = problem, strategy, seed
        self.evaluations = 0
        """Different candidates evaluated until now, all runs together."""
        self._seen: set[bytes] = set()
        self._found: list[_Told] = []
        self.sampled = 0
        """Different candidates that were drawn uniformly."""
        self.sampled_feasible = 0
        """Feasible ones of ``sampled``."""
        self.whole = False
        """True if ``sampled`` are all designs of the space."""
        random = np.random.default_rng([seed, 1])
        sizes = problem.space.sizes
        self._draw(random.integers(0, sizes, (SAMPLES, len(sizes)), dtype=np.int64))

    @property
    def feasible_share(self) -> tuple[float, float, float]:
        """Share of the space that is feasible, and the ends of its 95 % interval (Wilson).

        Estimated from ``sampled``; exact if they are the whole space.
        """
        share = self.sampled_feasible / self.sampled
        ends = (share, share) if self.whole else wilson(self.sampled_feasible, self.sampled)
        return share, *ends

    @property
    def pruned(self) -> dict[str, float]:
        """Limit -> share of the designs evaluated until now that miss it; some miss several."""
        excess = [told.evaluated.excess for told in self._found]
        return {
            limit: sum(int((one[limit] > 0).sum()) for one in excess) / self.evaluations
            for limit in excess[0]
        }

    def run(self, score: Score, evaluations: int) -> Evaluated:
        """Evaluate up to ``evaluations`` more candidates; return all feasible ones of all runs.

        A new strategy is told, with ``score``, what is known: all feasible candidates, and where
        these are fewer than SAMPLES also those with the least violation: of a few feasible ones
        alone it would breed nothing but their relatives. Objectives are the score, maximised, and
        the problem's costs. A run ends early when the strategy finds no new candidate in
        MOST_REPEATS batches, which is how a small space ends.

        If none is feasible then, more than ``evaluations`` are spent: a space of up to WIDER
        designs is enumerated, of others as many are drawn; then for each limit in turn the strategy
        first meets all others. If that finds none either, the one candidate with the least
        constraint violation is returned.
        """
        self.strive(score, evaluations)
        if not self._found_any():
            self._look_wider()
            for limit in sorted(self._found[0].evaluated.excess):
                broken = any((t.evaluated.excess[limit] > 0).any() for t in self._found)
                if broken and not self.whole and not self._found_any():
                    self.strive(score, LEANING, limit)
            if self._found_any():
                self.strive(score, evaluations)
        known = self.feasible()
        if self._found_any():
            return known
        return self.problem.evaluate(known.candidates[[np.argmin(known.violation)]])

    def spread(self, score: Score, evaluations: int) -> None:
        """Evaluate up to ``evaluations`` candidates, an equal share of each kind of network.

        So that those kinds are known at their best that are believed to be worse; nothing where
        there are no several kinds (Genome.kind).
        """
        space = self.problem.space
        gene = space.index.get(space.kind or "")
        count = 1 if gene is None else int(space.sizes[gene])
        for kind in range(count) if count > 1 else ():
            self.strive(score, evaluations // count, kind=kind)

    def archive(self) -> Evaluated:
        """Return all candidates evaluated until now, feasible or not, evaluated again."""
        found = [told.evaluated.candidates for told in self._found]
        return self.problem.evaluate(np.concatenate(found))

    def feasible(self) -> Evaluated:
        """Return all feasible candidates evaluated until now, or the least bad ones (``run``)."""
        return self._known(None, 0 if self._found_any() else SAMPLES).evaluated

    def consider(self, genes: Ints, estimated: int = 0) -> None:
        """Evaluate those of the candidates (n, genes) that are new, and remember them.

        estimated: candidates that the caller has estimated to find these, which count.
        """
        candidates = self.problem.space.canonical(genes)
        new = [row for row, one in enumerate(candidates) if one.tobytes() not in self._seen]
        if new:
            self._evaluate(genes[new])
        self.evaluations += estimated

    def summary(self) -> dict[str, Any]:
        """Return as JSON values what was looked at: strategy, designs estimated, the space's size.

        ``feasible_share`` is the share of designs within the budget among those drawn uniformly
        (``sampled`` in number), 0 where none of them was, with the ends of its 95 % interval.
        """
        share, low, high = self.feasible_share
        return {
            "strategy": self.strategy,
            "evaluations": self.evaluations,
            "feasible_share": share,
            "feasible_share_interval": [low, high],
            "sampled": self.sampled,
            "space_size": self.problem.space.designs,
        }

    def _found_any(self) -> bool:
        return any(told.evaluated.feasible.any() for told in self._found)

    def _look_wider(self) -> None:
        """Evaluate the whole space if it has up to WIDER designs, else WIDER more drawn ones."""
        space = self.problem.space
        self.whole = space.designs <= WIDER
        random = np.random.default_rng([self._seed, 2])
        size = (WIDER, len(space.sizes))
        drawn = space.every() if self.whole else random.integers(0, space.sizes, size)
        self._draw(drawn)
        if self.whole:
            self.sampled = self.evaluations
            self.sampled_feasible = sum(int(t.evaluated.feasible.sum()) for t in self._found)

    def _draw(self, genes: Ints) -> None:
        """Evaluate candidates drawn uniformly and count them."""
        told = self._evaluate(genes)
        self.sampled += len(told.genes)
        self.sampled_feasible += int(told.evaluated.feasible.sum())

    def strive(
        self, score: Score, evaluations: int, limit: str | None = None, kind: int | None = None
    ) -> None:
        """Let a new strategy evaluate up to ``evaluations`` candidates, as ``run`` says.

        limit: the constraint that is met last of all, or None; see ``cost.estimate.violation``.
        kind: the only one (Genome.kinds) that is told and evaluated; None: all.
        """
        seed = [self._seed, len(self._found)]
        strategy = strategies.make(self.strategy, self.problem.space.genes, _mixed(seed))
        self._tell(strategy, self._known(limit, SAMPLES, kind), score, limit)
        wanted = self.evaluations + evaluations
        while self.evaluations < wanted:
            fresh = self._fresh(strategy, min(BATCH, wanted - self.evaluations), kind)
            if not len(fresh):
                break
            self._tell(strategy, self._evaluate(fresh), score, limit)

    def _fresh(self, strategy: Strategy, count: int, kind: int | None) -> Ints:
        """Return up to ``count`` genes asked for whose canonical candidates are new and differ.

        kind: what they are made to be of, whatever was asked for; None: nothing.
        """
        found: list[Ints] = []
        keys: set[bytes] = set()
        for _ in range(MOST_REPEATS):
            genes = strategy.ask(count)
            if kind is not None:
                space, genes = self.problem.space, genes.copy()
                genes[:, space.index[str(space.kind)]] = kind
            for row, candidate in zip(genes, self.problem.space.canonical(genes), strict=True):
                key = candidate.tobytes()
                if len(found) < count and key not in self._seen and key not in keys:
                    keys.add(key)
                    found.append(row)
            if len(found) == count:
                break
        return np.array(found, dtype=np.int64).reshape(-1, len(self.problem.space.sizes))

    def _evaluate(self, genes: Ints) -> _Told:
        """Evaluate those of ``genes`` whose canonical candidates are new, and remember them."""
        candidates = self.problem.space.canonical(genes)
        keys = [candidate.tobytes() for candidate in candidates]
        first = {key: row for row, key in reversed(list(enumerate(keys)))}
        rows = sorted(row for key, row in first.items() if key not in self._seen)
        self._seen.update(first)
        told = _Told(genes[rows], self.problem.evaluate(candidates[rows]))
        self.evaluations += len(rows)
        self._found.append(told)
        return told

    def _known(self, limit: str | None, least: int = 0, kind: int | None = None) -> _Told:
        """Return what is known: all feasible candidates, filled up to ``least`` ones in all.

        Those that fill up have the least violation, as ``cost.estimate.violation`` counts it. kind:
        as for ``strive``.
        """
        genes = np.concatenate([told.genes for told in self._found])
        candidates = np.concatenate([told.evaluated.candidates for told in self._found])
        broken = np.concatenate([violation(t.evaluated.excess, limit) for t in self._found])
        broken = np.maximum(broken, 0.0)
        if kind is not None:
            of_kind = self.problem.space.kinds(candidates) == kind
            genes, candidates, broken = genes[of_kind], candidates[of_kind], broken[of_kind]
        count = max(least, int((broken == 0).sum()))
        rows = np.argsort(broken, kind="stable")[:count]
        return _Told(genes[rows], self.problem.evaluate(candidates[rows]))

    def _tell(self, strategy: Strategy, told: _Told, score: Score, limit: str | None) -> None:
        found = told.evaluated
        costs = self.problem.costs(found.estimate)
        objectives = np.column_stack([-score(found.layers), costs])
        strategy.tell(told.genes, objectives, violation(found.excess, limit))


@dataclass(frozen=True, eq=False)
class _Told:
    """Genes as a strategy proposed them, shape (n, genes), and their evaluation, row by row.

    Genes without effect differ from those of the canonical candidates; a strategy keeps them as a
    memory of what worked.
    """

    genes: Ints
    evaluated: Evaluated


def _mixed(seed: Sequence[int]) -> int:
    """Return one seed, below 2**32, made of several numbers."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
