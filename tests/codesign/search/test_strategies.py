"""Every strategy keeps the contract of ask and tell; those that learn beat random search."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search import pareto, strategies
from codesign.search.strategies import Genes

SIZES = np.array([4, 1, 7, 12, 2, 9, 30], dtype=np.int64)
GENES = Genes(SIZES, kinds=(np.array([0, 2, 6]), np.array([3, 5])))


def evaluate(candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return objectives, shape (n, 2), and violations of a toy problem.

    The objectives are distances to two corners; feasible are candidates with a small sum of genes.
    """
    share = candidates / np.maximum(SIZES - 1, 1)
    objectives = np.stack([(share**2).sum(1), ((1 - share) ** 2).sum(1)], axis=1)
    return objectives, np.maximum(share.sum(1) - 4.0, 0.0)


def run(strategy: strategies.Strategy, rounds: int) -> np.ndarray:
    """Return the objectives of every feasible candidate in ``rounds`` rounds of 64."""
    seen = []
    for _ in range(rounds):
        candidates = strategy.ask(64)
        objectives, violation = evaluate(candidates)
        strategy.tell(candidates, objectives, violation)
        seen.append(objectives[violation == 0])
    return np.vstack(seen)


def told(count: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return different candidates and their results."""
    drawn = np.random.default_rng(9).integers(0, SIZES, (2 * count, len(SIZES)), dtype=np.int64)
    candidates = np.unique(drawn, axis=0)[:count]
    return candidates, evaluate(candidates)


@pytest.mark.parametrize("name", strategies.STRATEGIES)
class TestConformance:
    """Tests that every strategy listed in codesign.search.strategies must pass."""

    def test_candidates_have_the_shape_type_and_range_asked_for(self, name: str) -> None:
        strategy = strategies.make(name, GENES, seed=1)
        for count in (1, 33, 200):
            candidates = strategy.ask(count)
            assert candidates.shape == (count, len(SIZES))
            assert candidates.dtype == np.int64
            assert (candidates >= 0).all()
            assert (candidates < SIZES).all()
            strategy.tell(candidates, *evaluate(candidates))

    def test_same_seed_same_candidates(self, name: str) -> None:
        asked = []
        for seed in (3, 3, 4):
            strategy = strategies.make(name, GENES, seed)
            run(strategy, 3)
            asked.append(strategy.ask(20))
        assert (asked[0] == asked[1]).all()
        assert (asked[0] != asked[2]).any()

    def test_every_value_of_every_gene_is_reachable(self, name: str) -> None:
        candidates = strategies.make(name, GENES, seed=0).ask(2000)
        assert [len(np.unique(column)) for column in candidates.T] == SIZES.tolist()

    def test_it_accepts_results_it_did_not_ask_for_and_all_infeasible(self, name: str) -> None:
        strategy = strategies.make(name, GENES, seed=0)
        foreign = np.tile(SIZES - 1, (5, 1))
        strategy.tell(foreign, np.full((5, 2), 1e9), np.full(5, 7.0))
        assert (strategy.ask(50) < SIZES).all()

    def test_asked_again_before_it_is_told_it_draws_anew(self, name: str) -> None:
        strategy = strategies.make(name, GENES, seed=0)
        assert (strategy.ask(12) != strategy.ask(12)).any()
        known, results = told(60)
        strategy.tell(known, *results)
        assert (strategy.ask(12) != strategy.ask(12)).any()

    def test_it_goes_on_from_the_results_of_a_journal(self, name: str) -> None:
        """As explore resumes: all that is known is told at once, to a new strategy."""
        known, results = told(700)
        asked = []
        for _ in range(2):
            strategy = strategies.make(name, GENES, seed=5)
            strategy.tell(known, *results)
            asked.append(strategy.ask(12))
            assert ((asked[-1] >= 0) & (asked[-1] < SIZES)).all()
        assert (asked[0] == asked[1]).all()

    def test_it_says_nothing(self, name: str, capfd) -> None:
        strategy = strategies.make(name, GENES, seed=0)
        known, results = told(40)
        strategy.tell(known, *results)
        strategy.ask(3)
        assert capfd.readouterr() == ("", "")

    def test_a_result_told_again_changes_nothing_but_itself(self, name: str) -> None:
        strategy = strategies.make(name, GENES, seed=0)
        known, results = told(30)
        for _ in range(2):
            strategy.tell(known, *results)
        strategy.tell(known[:1], results[0][:1], results[1][:1])
        assert strategy.ask(12).shape == (12, len(SIZES))

    @pytest.mark.parametrize("sizes", [(1, 1), (2, 1, 2)])
    def test_a_space_smaller_than_the_ask_is_asked_to_its_end(self, name: str, sizes) -> None:
        few = np.array(sizes, dtype=np.int64)
        strategy = strategies.make(name, Genes(few), seed=0)
        seen = set()
        for _ in range(4):
            found = strategy.ask(25)
            assert found.shape == (25, len(few))
            assert ((found >= 0) & (found < few)).all()
            seen |= set(map(tuple, found.tolist()))
            candidates = np.unique(found, axis=0)
            total = candidates.sum(1).astype(float)
            strategy.tell(candidates, np.stack([total, -total], axis=1), np.zeros(len(total)))
        assert len(seen) == few.prod()

    @pytest.mark.parametrize("objectives", [2, 4])
    def test_it_goes_on_where_nothing_is_feasible_and_all_is_equal(
        self, name: str, objectives: int
    ) -> None:
        strategy = strategies.make(name, GENES, seed=0)
        for _ in range(3):
            found = strategy.ask(25)
            assert ((found >= 0) & (found < SIZES)).all()
            broken = 1.0 + found[:, 2] / 10
            strategy.tell(found, np.ones((25, objectives)), broken)


@pytest.mark.parametrize(
    "learning",
    [
        "evolution", "nsga2", "regularised-evolution", "emonas", "quantum", "quantum-crossover",
        "tpe", "graph-kernel", "differentiable", "differentiable-clamped", "differentiable-robust",
    ],
)  # fmt: skip
def test_it_beats_random_at_equal_evaluations(learning: str) -> None:
    reference = np.array([7.0, 7.0])
    volumes = {
        name: [
            pareto.hypervolume(run(strategies.make(name, GENES, seed), 15), reference)
            for seed in range(3)
        ]
        for name in ("random", learning)
    }
    assert min(volumes[learning]) > max(volumes["random"])


def test_the_last_candidate_with_a_value_of_an_npu_gene_stays() -> None:
    """Without it another shape of array, two changes away, would never be found."""
    sizes = np.full(10, 200)
    shares = {}
    for npu in (np.array([9]), np.arange(0)):
        genes = Genes(sizes, parts=(np.arange(9), np.arange(0), npu))
        strategy = strategies.Evolution(genes, seed=0)
        strategy.tell(np.full((1, 10), 199), np.array([[50.5, 150.5]]), np.zeros(1))
        rank = np.arange(200)
        front = np.column_stack([*[rank] * 9, 0 * rank])
        for _ in range(3):
            strategy.tell(front, np.column_stack([rank, 199.0 - rank]), np.zeros(200))
        shares[len(npu)] = (strategy.ask(20_000)[:, 9] == 199).mean()
    assert shares[1] > 3 * shares[0]


def test_heavy_packages_are_imported_when_a_strategy_that_needs_them_is_made() -> None:
    program = (
        "import sys, numpy as np; from codesign.search import strategies\n"
        "for heavy in (False, True):\n"
        "    assert all((name in sys.modules) == heavy for name in ('torch', 'optuna')), heavy\n"
        "    for name in ('controller', 'tpe'):\n"
        "        strategies.make(name, strategies.Genes(np.array([2, 3])), 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_unknown_strategy_names_the_choices() -> None:
    with pytest.raises(UserError, match=r"random, evolution, .*, not 'annealing'"):
        strategies.make("annealing", GENES, 0)
