"""A search problem, and designs with their estimates: which meet the budget, and by how far."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.model import AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import Estimate, estimate, violation
from codesign.cost.timing import TimingModel
from codesign.goals import ALWAYS
from codesign.results import AREA_CONFIDENCE, Budget
from codesign.search.pareto import Floats, Ints, pareto_mask
from codesign.search.parts import in_parts
from codesign.search.space.candidates import npu_table
from codesign.search.space.genome import Genome


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Candidates with their estimates, row by row. Made by ``Problem.evaluate``."""

    candidates: Ints
    """Canonical candidates, shape (n, genes)."""
    layers: LayerTable
    estimate: Estimate
    excess: Mapping[str, Floats]
    """Constraint -> relative violation, as ``Problem.excess``, each of shape (n,)."""

    @cached_property
    def violation(self) -> Floats:
        """Constraint violation, the sum of positive relative excesses, shape (n,); 0: feasible."""
        return violation(self.excess)

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """True where all constraints are met, shape (n,)."""
        return np.asarray(self.violation <= 0)


@dataclass(frozen=True, eq=False)
class Problem:
    """Search problem: search space, cost model and budget constraints.

    >>> from codesign.cost.data import dataset
    >>> from codesign.search.space.declaration import load_declaration
    >>> from codesign.search.space.encoding import SearchSpace
    >>> space = SearchSpace(load_declaration("digits"), shape=(1, 8, 8), classes=10)
    >>> problem = Problem(space, AreaModel.fit(dataset.read()[:40]), Budget(luts=10_000))
    >>> problem.area_confidence
    0.6
    """

    space: Genome
    model: AreaModel
    budget: Budget
    family: str = "xc7"
    """FPGA family of the budget."""
    area_factor: float = 1.0
    """Largest ratio, measured to estimated LUTs or flip-flops, of this search; at least 1."""
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the area bound that the budget is tested with."""
    goals: tuple[str, ...] = ALWAYS
    """Names in results.GOALS of the objectives beside accuracy."""

    def evaluate(self, candidates: Ints, threads: int | None = None) -> Evaluated:
        """Estimate canonical candidates of shape (n, genes), row by row.

        threads: at most so many, by default one per processor (``in_parts``). Raises ValueError
        for a budget without a clock on a family of which no model estimates it.
        """
        layers, budget = self.space.layers(candidates, threads), self.budget
        clock = budget.clock_mhz or TimingModel.of(self.family)

        def part(rows: slice) -> tuple[Estimate, dict[str, Floats]]:
            mine = layers.take(rows)
            npus = npu_table(self.space, candidates[rows], mine)
            found = estimate(
                self.model, mine, npus, clock, self.family, self.area_confidence, budget.brams,
            )  # fmt: skip
            return found, self.excess(candidates[rows], mine, found)

        return Evaluated(candidates, layers, *in_parts(part, len(candidates), threads))

    def costs(self, found: Estimate) -> Floats:
        """Return what a search minimises, besides accuracy negated: shape (n, goals)."""
        return np.column_stack([found.cost(goal) for goal in self.goals])

    def excess(self, candidates: Ints, layers: LayerTable, found: Estimate) -> dict[str, Floats]:
        """Return constraint -> relative violation (need / limit - 1), shape (n,); <= 0 where met.

        Constraints are those of the budget and the memories (Estimate.excess), ``macs``, the limit
        of the space on multiply-accumulates per image, and ``rules``, the number of its rules that
        are broken, where it has any. layers and found: networks and estimates of the same n
        candidates.
        """
        space, limits = self.space, found.excess(self.budget, self.area_factor)
        if space.max_macs is not None:
            limits = {**limits, "macs": layers.macs.sum(axis=1) / space.max_macs - 1}
        if space.forbid or space.require:
            limits = {**limits, "rules": space.broken_rules(candidates)}
        return dict(limits)


def with_all_npus(problem: Problem, candidate: Ints) -> Evaluated:
    """Evaluate the network of ``candidate``, shape (genes,), on every NPU of the space.

    One row per combination of NPU choices that is another NPU, the choice of the last gene changing
    fastest; ``candidate``'s own NPU is among them.
    """
    space = problem.space
    choices = [range(int(space.sizes[gene])) for gene in space.npu_genes]
    grid = np.array(list(itertools.product(*choices)), dtype=np.int64)
    candidates = np.tile(candidate, (len(grid), 1))
    candidates[:, space.npu_genes] = grid
    return problem.evaluate(np.unique(space.canonical(candidates), axis=0))


def front(scores: Floats, costs: Floats) -> NDArray[np.bool_]:
    """Return True for designs on the Pareto front of scores and costs, shape (n,).

    scores: values of a Score, shape (n,) or (n, objectives), to be large; costs: to be small, as
    ``Problem.costs`` has them, shape (n, goals). Of equal designs only the first is on the front.
    """
    return pareto_mask(np.column_stack([-scores, costs]))
