"""The inner loop: thousands of candidates by regressors, nothing trained, nothing synthesised."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.cost.area.model import AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.estimate import Estimate, estimate, violation
from codesign.results import AREA_CONFIDENCE, Budget
from codesign.search import optimisers
from codesign.search.pareto import Floats, Ints, pareto_mask
from codesign.search.parts import in_parts
from codesign.search.space.candidates import npu_table
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table

SHRINK_SAMPLES = 2048
LEAST_EVIDENCE = 24
"""Samples of a choice without a single feasible one before it leaves the space."""
BATCH = 256
Score = Callable[[LayerTable], Floats]
"""Layers of n networks -> [n] what accuracy to expect, or [n, goals] that and more; larger is
better."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """Candidates with their estimates, row by row."""

    candidates: Ints
    layers: LayerTable
    estimate: Estimate
    violation: Floats

    @property
    def feasible(self) -> NDArray[np.bool_]:
        return np.asarray(self.violation <= 0)


@dataclass(frozen=True, eq=False)
class Problem:
    """What is searched: a space, the cost model and the budget."""

    space: SearchSpace
    model: AreaModel
    budget: Budget
    family: str = "xc7"
    """FPGA family that the budget is of."""
    area_factor: float = 1.0
    """Measured over estimated area of a design of this search, once one was synthesised."""
    area_confidence: float = AREA_CONFIDENCE
    """Share of NPUs whose area the budget test is not to underestimate."""

    def evaluate(self, candidates: Ints, threads: int | None = None) -> Evaluated:
        """Estimates of candidates [n, genes] (canonical ones); threads: see ``in_parts``."""
        layers = layer_table(self.space, candidates, threads)

        def part(rows: slice) -> tuple[Estimate, Floats]:
            mine, budget = layers.take(rows), self.budget
            npus = npu_table(self.space, candidates[rows], mine)
            found = estimate(
                self.model, mine, npus, budget.clock_mhz, self.family, self.area_confidence
            )
            return found, violation(self.excess(mine, found))

        return Evaluated(candidates, layers, *in_parts(part, len(candidates), threads))

    def excess(self, layers: LayerTable, found: Estimate) -> dict[str, Floats]:
        """Constraint -> [n] share by which it is broken: the budget's, and the space's on work."""
        macs = layers.macs.sum(axis=1)
        return {
            **found.excess(self.budget, self.area_factor),
            "macs": macs / self.space.declaration.max_macs - 1,
        }


class Shrunk:
    """The part of a space that holds feasible designs: per gene, the choices that may stay.

    As MCUNet prunes its space under the budget before it searches: a choice that no feasible
    sample has, though many samples have it, goes.
    """

    def __init__(self, space: SearchSpace, samples: Ints, feasible: NDArray[np.bool_]) -> None:
        self.space = space
        active = space.active(samples)
        self.kept: list[Ints] = []
        for gene, size in enumerate(space.sizes):
            seen = np.bincount(samples[active[:, gene], gene], minlength=size)
            good = np.bincount(samples[active[:, gene] & feasible, gene], minlength=size)
            keep = np.flatnonzero((good > 0) | (seen < LEAST_EVIDENCE))
            self.kept.append(keep if len(keep) else np.arange(size))

    @property
    def sizes(self) -> Ints:
        return np.array([len(kept) for kept in self.kept], dtype=np.int64)

    def widen(self, candidates: Ints) -> Ints:
        """Vectors of the shrunk space as canonical candidates of the whole one."""
        columns = [kept[candidates[:, gene]] for gene, kept in enumerate(self.kept)]
        return self.space.canonical(np.column_stack(columns))


def shrink(problem: Problem, seed: int) -> Shrunk:
    """What SHRINK_SAMPLES random candidates leave of the space."""
    space = problem.space
    random = np.random.default_rng([seed, 1])
    samples = random.integers(0, space.sizes, (SHRINK_SAMPLES, len(space.sizes)), dtype=np.int64)
    found = problem.evaluate(space.canonical(samples))
    return Shrunk(space, found.candidates, found.feasible)


def search(
    problem: Problem, shrunk: Shrunk, score: Score, optimiser: str, seed: int, rounds: int
) -> Evaluated:
    """``rounds`` batches of an optimiser over (score, throughput, LUTs); all that is feasible.

    Without a feasible candidate, the one that breaks the budget least.
    """
    engine = optimisers.make(optimiser, shrunk.sizes, seed)
    seen: dict[bytes, Ints] = {}
    best: tuple[float, Ints] | None = None
    for _ in range(rounds):
        genes = engine.ask(BATCH)
        found = problem.evaluate(shrunk.widen(genes))
        objectives = np.column_stack(
            [
                -score(found.layers),
                -np.log(found.estimate.images_per_second),
                np.log(found.estimate.area.luts),
            ]
        )
        engine.tell(genes, objectives, found.violation)
        for row in np.flatnonzero(found.feasible):
            seen[found.candidates[row].tobytes()] = found.candidates[row]
        least = int(np.argmin(found.violation))
        if best is None or found.violation[least] < best[0]:
            best = (float(found.violation[least]), found.candidates[least])
    assert best is not None
    return problem.evaluate(np.stack(list(seen.values()) or [best[1]]))


def with_all_npus(problem: Problem, candidate: Ints) -> Evaluated:
    """The network of ``candidate`` [genes] on every NPU of the space."""
    space = problem.space
    choices = [range(int(space.sizes[gene])) for gene in space.npu_genes]
    grid = np.array(list(itertools.product(*choices)), dtype=np.int64)
    candidates = np.tile(candidate, (len(grid), 1))
    candidates[:, space.npu_genes] = grid
    return problem.evaluate(candidates)


def front(goals: Floats, throughputs: Floats, luts: Floats) -> NDArray[np.bool_]:
    """[n] true for designs that no other beats in all goals of a Score, throughput and LUTs
    together."""
    return pareto_mask(np.column_stack([-goals, -throughputs, luts]))
