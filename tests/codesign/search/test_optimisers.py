"""Every search optimiser keeps the contract of ask and tell; evolution also beats random search."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search import optimisers, pareto

SIZES = np.array([4, 1, 7, 12, 2, 9, 30], dtype=np.int64)


def evaluate(candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return objectives, shape (n, 2), and violations of a toy problem.

    The objectives are distances to two corners; feasible are candidates with a small sum of genes.
    """
    share = candidates / np.maximum(SIZES - 1, 1)
    objectives = np.stack([(share**2).sum(1), ((1 - share) ** 2).sum(1)], axis=1)
    return objectives, np.maximum(share.sum(1) - 4.0, 0.0)


def run(optimiser: optimisers.Optimiser, rounds: int) -> np.ndarray:
    """Return the objectives of every feasible candidate in ``rounds`` rounds of 64."""
    seen = []
    for _ in range(rounds):
        candidates = optimiser.ask(64)
        objectives, violation = evaluate(candidates)
        optimiser.tell(candidates, objectives, violation)
        seen.append(objectives[violation == 0])
    return np.vstack(seen)


@pytest.mark.parametrize("name", optimisers.OPTIMISERS)
class TestConformance:
    """Tests that every optimiser listed in codesign.search.optimisers must pass."""

    def test_candidates_have_the_shape_type_and_range_asked_for(self, name: str) -> None:
        optimiser = optimisers.make(name, SIZES, seed=1)
        for count in (1, 33, 200):
            candidates = optimiser.ask(count)
            assert candidates.shape == (count, len(SIZES))
            assert candidates.dtype == np.int64
            assert (candidates >= 0).all()
            assert (candidates < SIZES).all()
            optimiser.tell(candidates, *evaluate(candidates))

    def test_same_seed_same_candidates(self, name: str) -> None:
        asked = []
        for seed in (3, 3, 4):
            optimiser = optimisers.make(name, SIZES, seed)
            run(optimiser, 3)
            asked.append(optimiser.ask(20))
        assert (asked[0] == asked[1]).all()
        assert (asked[0] != asked[2]).any()

    def test_every_value_of_every_gene_is_reachable(self, name: str) -> None:
        candidates = optimisers.make(name, SIZES, seed=0).ask(2000)
        assert [len(np.unique(column)) for column in candidates.T] == SIZES.tolist()

    def test_it_accepts_results_it_did_not_ask_for_and_all_infeasible(self, name: str) -> None:
        optimiser = optimisers.make(name, SIZES, seed=0)
        foreign = np.tile(SIZES - 1, (5, 1))
        optimiser.tell(foreign, np.full((5, 2), 1e9), np.full(5, 7.0))
        assert (optimiser.ask(50) < SIZES).all()


def test_evolution_beats_random_at_equal_evaluations() -> None:
    reference = np.array([7.0, 7.0])
    volumes = {
        name: [
            pareto.hypervolume(run(optimisers.make(name, SIZES, seed), 15), reference)
            for seed in range(3)
        ]
        for name in ("random", "evolution")
    }
    assert min(volumes["evolution"]) > max(volumes["random"])


def test_unknown_strategy_names_the_choices() -> None:
    with pytest.raises(UserError, match="random, evolution, not 'annealing'"):
        optimisers.make("annealing", SIZES, 0)
