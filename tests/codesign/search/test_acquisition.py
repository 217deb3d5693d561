"""What is trained next: expected gains are hypervolumes, and certain ones are exact."""

from __future__ import annotations

import numpy as np
import pytest

from codesign.search.accuracy.acquisition import LEVELS, Network, choose, expected_gains
from codesign.search.accuracy.predictor import odds_of
from codesign.search.pareto import hypervolume

REFERENCE = np.array([0.5, 0.0, 10.0])
RANDOM = np.random.default_rng(0)
SPEEDS = [np.column_stack([-RANDOM.uniform(1, 5, 4), RANDOM.uniform(5, 9, 4)]) for _ in range(6)]


def volume(trained: list[tuple[float, np.ndarray]]) -> float:
    """Return the hypervolume of networks, computed by moocore in three dimensions."""
    points = [np.column_stack([np.full(len(s), -a), s]) for a, s in trained]
    return hypervolume(np.vstack([np.empty((0, 3)), *points]), np.array([-0.5, 0.0, 10.0]))


@pytest.mark.parametrize("known", [0, 1, 3])
def test_the_gain_of_a_certain_accuracy_is_the_hypervolume_it_adds(known: int) -> None:
    trained = [(0.6 + 0.1 * k, SPEEDS[k]) for k in range(known)]
    accuracies = np.array([0.55, 0.72, 0.95])
    gains = expected_gains(trained, SPEEDS[3:], odds_of(accuracies), np.zeros(3), REFERENCE)
    for gain, accuracy, speeds in zip(gains, accuracies, SPEEDS[3:], strict=True):
        exact = volume([*trained, (accuracy, speeds)]) - volume(trained)
        # The step of accuracies, times the largest area of the other two objectives.
        assert gain == pytest.approx(exact, abs=0.5 / LEVELS * 5 * 5)


def test_the_expected_gain_is_the_mean_over_what_may_come() -> None:
    trained = [(0.8, SPEEDS[0])]
    mean, deviation = odds_of(np.array([0.85])), np.array([0.7])
    (gain,) = expected_gains(trained, SPEEDS[1:2], mean, deviation, REFERENCE)
    odds = mean + deviation * np.random.default_rng(1).standard_normal(4000)
    drawn = [volume([*trained, (1 / (1 + np.exp(-one)), SPEEDS[1])]) for one in odds]
    assert gain == pytest.approx(np.mean(drawn) - volume(trained), rel=0.05)


def test_of_equally_fast_networks_the_less_certain_one_is_trained_where_the_best_is_known() -> None:
    same = [Network(np.array([float(k)]), SPEEDS[0]) for k in range(3)]
    trained = [(0.9, same[2])]

    def belief(features: np.ndarray, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return odds_of(np.array([0.9, 0.9])), np.array([0.1, 1.0])

    assert choose(trained, same[:2], belief, REFERENCE, 1) == [1]


def test_what_is_chosen_together_differs_and_ends_where_nothing_is_gained() -> None:
    networks = [Network(np.array([float(k)]), speeds) for k, speeds in enumerate(SPEEDS)]

    def belief(features: np.ndarray, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(6, 3.0), np.zeros(6)

    chosen = choose([], networks, belief, REFERENCE, 6)
    assert len(set(chosen)) == len(chosen)
    front = np.vstack([networks[k].npus for k in chosen])
    assert hypervolume(front, REFERENCE[1:]) == pytest.approx(
        hypervolume(np.vstack(SPEEDS), REFERENCE[1:])
    )
    nothing = [Network(np.zeros(1), np.array([[1.0, 11.0]]))]
    assert choose([], nothing, lambda f, a: (np.zeros(1), np.ones(1)), REFERENCE, 1) == []
