"""Inner search loop on estimates of thousands of candidates, without training or synthesis."""

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
"""Random candidates evaluated for search-space reduction."""
LEAST_EVIDENCE = 24
"""Samples of a choice, all infeasible, from which on it is removed from the space."""
BATCH = 256
"""Candidates that the optimiser proposes per round."""
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
                self.model, mine, npus, budget.clock_mhz, self.family, self.area_confidence
            )
            return found, violation(self.excess(mine, found))

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


class Shrunk:
    """Reduced search space: per gene, the choices that may be feasible. Made by ``shrink``.

    A choice is removed if LEAST_EVIDENCE or more samples have it in an active gene and none of them
    is feasible; a gene that would lose all of its choices keeps them. samples: canonical
    candidates, shape (n, genes); feasible: shape (n,). ``kept`` holds the choices left of each
    gene, ascending indices into those of the space.
    MCUNet (Lin et al., NeurIPS 2020) likewise fits its space to the budget before it searches.
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
        """Number of choices left of each gene, shape (genes,)."""
        return np.array([len(kept) for kept in self.kept], dtype=np.int64)

    def widen(self, candidates: Ints) -> Ints:
        """Return vectors of the reduced space as canonical candidates of the full space.

        candidates: shape (n, genes); gene g is an index into ``kept[g]``.
        """
        columns = [kept[candidates[:, gene]] for gene, kept in enumerate(self.kept)]
        return self.space.canonical(np.column_stack(columns))


def shrink(problem: Problem, seed: int) -> Shrunk:
    """Reduce the search space by the estimated feasibility of SHRINK_SAMPLES random candidates.

    seed: draws them, uniformly in every gene.
    """
    space = problem.space
    random = np.random.default_rng([seed, 1])
    samples = random.integers(0, space.sizes, (SHRINK_SAMPLES, len(space.sizes)), dtype=np.int64)
    found = problem.evaluate(space.canonical(samples))
    return Shrunk(space, found.candidates, found.feasible)


def search(
    problem: Problem, shrunk: Shrunk, score: Score, optimiser: str, seed: int, rounds: int
) -> Evaluated:
    """Run ``rounds`` batches of an optimiser and return all feasible candidates it proposed.

    Objectives are score and throughput, maximised, and LUTs, minimised; optimiser: a name of
    optimisers.OPTIMISERS; rounds: 1 or more. Each feasible candidate is returned once. If none is
    feasible, the one with the least constraint violation is returned. Raises UserError for an
    unknown optimiser.
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
