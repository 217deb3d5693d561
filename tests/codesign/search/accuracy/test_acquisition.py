"""What is trained next: expected gains are hypervolumes, and certain ones are exact."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.special import expit

from codesign.search.accuracy.acquisition import (
    LEVELS,
    accuracy_gains,
    choice_gains,
    choose,
    expected_best,
    expected_gains,
)
from codesign.search.accuracy.predictor import odds_of
from codesign.search.pareto import hypervolume

REFERENCE = np.array([0.5, 1.0])
WORTH = functools.partial(expected_gains, reference=REFERENCE)
RATES = np.random.default_rng(0).uniform(2, 5, 6)


def volume(known: np.ndarray) -> float:
    """Return the hypervolume of accuracies and log rates, shape (n, 2), computed by moocore."""
    return hypervolume(-known, -REFERENCE)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_gain_of_a_certain_accuracy_is_the_hypervolume_it_adds(count: int) -> None:
    known = np.column_stack([0.6 + 0.1 * np.arange(count), RATES[:count]])
    accuracies = np.array([0.55, 0.72, 0.95])
    gains = expected_gains(known, RATES[3:], odds_of(accuracies), np.zeros(3), REFERENCE)
    for gain, point in zip(gains, zip(accuracies, RATES[3:], strict=True), strict=True):
        exact = volume(np.vstack([known, point])) - volume(known)
        assert gain == pytest.approx(exact, abs=0.5 / LEVELS * 4)  # a step, times the widest rate


def test_the_expected_gain_is_the_mean_over_what_may_come() -> None:
    known = np.array([[0.8, 3.0]])
    mean, deviation = odds_of(np.array([0.85])), np.array([0.7])
    (gain,) = expected_gains(known, np.array([3.5]), mean, deviation, REFERENCE)
    odds = mean + deviation * np.random.default_rng(1).standard_normal(4000)
    drawn = [volume(np.vstack([known, (expit(one), 3.5)])) for one in odds]
    assert gain == pytest.approx(np.mean(drawn) - volume(known), rel=0.05)


@pytest.mark.parametrize("known", [[], [0.7, 0.85]])
def test_the_expected_gain_in_accuracy_is_the_mean_of_what_is_above_the_best(
    known: list[float],
) -> None:
    points = np.array([[one, 3.0] for one in known]).reshape(-1, 2)
    mean, deviation = odds_of(np.array([0.86, 0.8, 0.86])), np.array([0.7, 1.0, 0.0])
    gains = accuracy_gains(points, RATES[:3], mean, deviation)
    best = odds_of(np.array([max(known, default=0.86)]))
    drawn = mean + deviation * np.random.default_rng(1).standard_normal((200_000, 3))
    assert gains == pytest.approx(np.maximum(drawn - best, 0).mean(axis=0), rel=0.02, abs=1e-6)


def test_of_networks_alike_the_less_certain_one_is_trained_where_the_best_is_known() -> None:
    def belief(features: np.ndarray, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return odds_of(np.array([0.9, 0.9])), np.array([0.1, 1.0])

    rates = np.array([3.0, 3.0])
    known = np.array([[0.9, 3.0]])
    assert choose(known, np.zeros((1, 1)), np.zeros((2, 1)), rates, belief, WORTH, 1) == [1]


def test_what_is_chosen_together_differs_and_ends_where_nothing_is_gained() -> None:
    accuracies = np.linspace(0.95, 0.6, 6)

    def belief(features: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return odds_of(accuracies), np.zeros(6)

    nothing = np.empty((0, 2)), np.empty((0, 1)), np.zeros((6, 1))
    chosen = choose(*nothing, RATES, belief, WORTH, 6)
    assert len(set(chosen)) == len(chosen)
    points = np.column_stack([accuracies, RATES])
    assert volume(points[chosen]) == pytest.approx(volume(points), abs=3 / LEVELS)
    slow = np.zeros(6)
    assert choose(*nothing, slow, belief, WORTH, 1) == []


def test_each_kind_has_its_turn_before_any_has_a_second_one() -> None:
    accuracies = np.array([0.9, 0.89, 0.88, 0.7, 0.4])

    def belief(features: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return odds_of(accuracies), np.full(5, 0.05)

    rates, nothing = np.array([3.0, 3.1, 3.2, 3.0, 3.0]), np.empty((0, 1))
    kinds = np.array([0, 0, 0, 1, 2])
    told = np.empty((0, 2)), nothing, np.zeros((5, 1)), rates, belief, WORTH
    free, turns = choose(*told, 3), choose(*told, 3, kinds)
    assert set(free) <= {0, 1, 2}
    assert turns[0] == free[0]
    assert turns[1] == 3  # the third kind has nothing to gain below the reference
    assert turns[2] in {0, 1, 2}


def test_the_expected_best_is_the_mean_over_draws() -> None:
    """Each succeeds by its chance, and of those that do the one of the most merit counts."""
    merits, chances = np.array([0.0, 1.0, 5.0]), np.array([0.9, 0.8, 0.2])
    drawn = np.random.default_rng(0).random((20_000, 3)) < chances
    best = np.where(drawn, merits, -1.0).max(axis=1)
    assert expected_best(merits, chances, -1.0) == pytest.approx(best.mean(), abs=0.03)
    assert expected_best([], [], -1.0) == -1.0
    # One of little chance is worth more where it is much better.
    assert expected_best([0.0, 5.0], [0.9, 0.2], 0.0) > expected_best([0.0, 1.0], [0.9, 0.8], 0.0)


def test_the_gain_of_a_choice_is_that_of_the_fastest_that_succeeds() -> None:
    """Known are an accurate network and a fast one of little accuracy; each may succeed."""

    def chances(accuracies: np.ndarray) -> np.ndarray:
        return np.clip((accuracies - 0.8) / 0.1, 0.0, 1.0)

    known = np.array([[0.95, 2.0], [0.85, 4.0]])
    rates, accuracies = np.array([1.0, 3.0, 5.0, 5.0]), np.array([0.95, 0.89, 0.89, 0.75])
    gains = choice_gains(known, rates, odds_of(accuracies), np.zeros(4), chances)
    # Until now 4 or 2, at even chances. A rate of 3 counts where 4 fails, 5 in any case.
    assert gains == pytest.approx([0.0, 0.5 * 0.9 * 1.0, 0.9 * (5.0 - 3.0), 0.0])
    (hoped,) = choice_gains(known, rates[3:], odds_of(accuracies[3:]), np.ones(1), chances)
    assert hoped > 0, "an accuracy that is uncertain may be enough"
