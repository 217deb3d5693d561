"""Inner search loop on estimates of thousands of candidates, without training or synthesis."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.model import AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import Estimate, estimate, violation
from codesign.results import AREA_CONFIDENCE, Budget
from codesign.search import strategies
from codesign.search.pareto import Floats, Ints, pareto_mask
from codesign.search.parts import in_parts
from codesign.search.space.candidates import npu_table
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.strategies import Strategy

SAMPLES = 512
"""Candidates drawn uniformly that a search starts with; those drawn twice count once."""
BATCH = 40
"""Most new candidates that are evaluated per round of the strategy."""
MOST_REPEATS = 20
"""Most batches asked for per round, one after the other, until enough new candidates are found."""
Score = Callable[[LayerTable], Floats]
"""Predicted objectives to maximise: layers of n networks -> array of shape (n,), the accuracy, or
(n, n_objectives), of which column 0 is the accuracy."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Candidates with their estimates, row by row. Made by ``Problem.evaluate``."""

    candidates: Ints
    """Canonical candidates, shape (n, genes)."""
    layers: LayerTable
    estimate: Estimate
    violation: Floats
    """Constraint violation, the sum of positive relative excesses, shape (n,); 0 if feasible."""

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """True where all constraints are met, shape (n,)."""
        return np.asarray(self.violation <= 0)


@dataclass(frozen=True, eq=False)
class Problem:
    """Search problem: search space, cost model and budget constraints.

    >>> from codesign.cost.data import dataset
    >>> from codesign.search.space.declaration import load_declaration
    >>> space = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> problem = Problem(space, AreaModel.fit(dataset.read()[:40]), Budget(luts=10_000))
    >>> problem.area_confidence
    0.6
    """

    space: SearchSpace
    model: AreaModel
    budget: Budget
    family: str = "xc7"
    """FPGA family of the budget."""
    area_factor: float = 1.0
    """Largest ratio, measured to estimated LUTs or flip-flops, of this search; at least 1."""
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the area bound that the budget is tested with."""

    def evaluate(self, candidates: Ints, threads: int | None = None) -> Evaluated:
        """Estimate canonical candidates of shape (n, genes), row by row.

        threads: at most so many, by default one per processor (``in_parts``).
        """
        layers = layer_table(self.space, candidates, threads)

        def part(rows: slice) -> tuple[Estimate, Floats]:
            mine, budget = layers.take(rows), self.budget
            npus = npu_table(self.space, candidates[rows], mine)
            found = estimate(
                self.model, mine, npus, budget.clock_mhz, self.family, self.area_confidence,
                budget.brams,
            )  # fmt: skip
            broken = self.space.broken_rules(candidates[rows])
            return found, violation(self.excess(mine, found)) + broken

        return Evaluated(candidates, layers, *in_parts(part, len(candidates), threads))

    def excess(self, layers: LayerTable, found: Estimate) -> dict[str, Floats]:
        """Return constraint -> relative violation (need / limit - 1), shape (n,); <= 0 where met.

        Constraints are those of the budget and the memories (Estimate.excess) and ``macs``, the
        limit of the space on multiply-accumulates per image. layers and found: networks and
        estimates of the same n candidates.
        """
        macs = layers.macs.sum(axis=1)
        return {
            **found.excess(self.budget, self.area_factor),
            "macs": macs / self.space.declaration.max_macs - 1,
        }


class InnerSearch:
    """Search of a problem on estimates alone, which goes on from what it has found.

    >>> from codesign.cost.data import dataset
    >>> from codesign.search.accuracy.features import capacity, network_features
    >>> from codesign.search.space.declaration import load_declaration
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
        random = np.random.default_rng([seed, 1])
        sizes = problem.space.sizes
        self._evaluate(random.integers(0, sizes, (SAMPLES, len(sizes)), dtype=np.int64))
        self.sampled = self.evaluations
        """Different candidates among the SAMPLES drawn uniformly."""
        self.sampled_feasible = int(self._found[0].evaluated.feasible.sum())
        """Feasible ones of ``sampled``."""

    def run(self, score: Score, evaluations: int) -> Evaluated:
        """Evaluate up to ``evaluations`` more candidates; return all feasible ones of all runs.

        A new strategy is told, with ``score``, what is known: of feasible candidates all, else the
        SAMPLES with the least violation. Objectives are score and throughput, maximised, and LUTs,
        minimised. A run ends early when the strategy finds no new candidate in MOST_REPEATS
        batches, which is how a small space ends. If none is feasible, the one candidate with the
        least constraint violation is returned.
        """
        seed = [self._seed, len(self._found)]
        strategy = strategies.make(self.strategy, self.problem.space.genes, _mixed(seed))
        self._tell(strategy, self._known(), score)
        wanted = self.evaluations + evaluations
        while self.evaluations < wanted:
            fresh = self._fresh(strategy, min(BATCH, wanted - self.evaluations))
            if not len(fresh):
                break
            self._tell(strategy, self._evaluate(fresh), score)
        known = self._known().evaluated
        if known.feasible.any():
            return known
        return self.problem.evaluate(known.candidates[[np.argmin(known.violation)]])

    def _fresh(self, strategy: Strategy, count: int) -> Ints:
        """Return up to ``count`` genes asked for whose canonical candidates are new and differ."""
        found: list[Ints] = []
        keys: set[bytes] = set()
        for _ in range(MOST_REPEATS):
            genes = strategy.ask(count)
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

    def _known(self) -> _Told:
        """Return what is known: all feasible candidates, else SAMPLES with the least violation."""
        genes = np.concatenate([told.genes for told in self._found])
        candidates = np.concatenate([told.evaluated.candidates for told in self._found])
        violation = np.concatenate([told.evaluated.violation for told in self._found])
        rows = np.flatnonzero(violation <= 0)
        if not len(rows):
            rows = np.argsort(violation, kind="stable")[:SAMPLES]
        return _Told(genes[rows], self.problem.evaluate(candidates[rows]))

    def _tell(self, strategy: Strategy, told: _Told, score: Score) -> None:
        found = told.evaluated
        objectives = np.column_stack(
            [
                -score(found.layers),
                -np.log(found.estimate.images_per_second),
                np.log(found.estimate.area.luts),
            ]
        )
        strategy.tell(told.genes, objectives, found.violation)


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


def with_all_npus(problem: Problem, candidate: Ints) -> Evaluated:
    """Evaluate the network of ``candidate``, shape (genes,), on every NPU of the space.

    One row per combination of NPU choices, the choice of the last gene changing fastest;
    ``candidate``'s own NPU is among them.
    """
    space = problem.space
    choices = [range(int(space.sizes[gene])) for gene in space.npu_genes]
    grid = np.array(list(itertools.product(*choices)), dtype=np.int64)
    candidates = np.tile(candidate, (len(grid), 1))
    candidates[:, space.npu_genes] = grid
    return problem.evaluate(candidates)


def front(goals: Floats, throughputs: Floats, luts: Floats) -> NDArray[np.bool_]:
    """Return True for designs on the Pareto front of score, throughput and LUTs, shape (n,).

    goals: values of a Score, shape (n,) or (n, objectives), which like throughputs are to be large;
    throughputs, luts: shape (n,). Of equal designs only the first is on the front.
    """
    return pareto_mask(np.column_stack([-goals, -throughputs, luts]))
