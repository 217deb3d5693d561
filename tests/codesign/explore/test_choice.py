"""The rule of choice: what counts as equal, what decides then, and what is trained in full."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from codesign.explore.choice import (
    Option,
    Rule,
    Trained,
    best_option,
    finalists,
)
from codesign.explore.telling.names import readable_names
from codesign.explore.telling.shown import shown_candidates
from codesign.goals import GOALS, goals_of
from codesign.results import Budget
from codesign.search import engine
from codesign.search.engine import InnerSearch, Problem
from codesign.search.pareto import Ints
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import network_key
from models.training.history import standard_error
from tests.codesign.search.test_engine import capacity, model

IMAGES = 216


@cache
def problem() -> Problem:
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    return Problem(space, model(), Budget(luts=15000, brams=60))


@cache
def networks() -> list[Ints]:
    """Candidates of different networks within the budget, the fastest first."""
    pool = InnerSearch(problem(), "evolution", 1).run(capacity, 1536)
    rows: dict[str, int] = {}
    for row in np.argsort(-pool.estimate.images_per_second, kind="stable"):
        rows.setdefault(network_key(problem().space, pool.candidates[row]), int(row))
    several = [pool.candidates[row] for row in list(rows.values())[::40]]
    return sorted(several, key=lambda candidate: -fastest(candidate))


def fastest(candidate: Ints) -> float:
    every = engine.with_all_npus(problem(), candidate)
    return float(every.estimate.images_per_second[every.feasible].max())


def smallest(candidate: Ints) -> float:
    every = engine.with_all_npus(problem(), candidate)
    return float(every.estimate.area.luts[every.feasible].min())


def trained(
    accuracies: Sequence[float], ones: Sequence[int] = (), full: bool = True
) -> list[Trained]:
    """The first networks with these accuracies, in percent."""
    return [
        Trained(candidate, accuracy / 100, 1.0, bits, trained_fully=full)
        for candidate, accuracy, bits in zip(
            networks(), accuracies, ones or [9] * len(accuracies), strict=False
        )
    ]


def chosen(accuracies: Sequence[float], **rule: object) -> Option:
    option = best_option(problem(), trained(accuracies), Rule(IMAGES, **rule))
    assert option is not None
    return option


def test_the_standard_error_is_binomial_smoothed_and_never_nothing() -> None:
    assert standard_error(0.5, 10_000) == pytest.approx(0.005, rel=1e-3)
    assert standard_error(1.0, 216) == pytest.approx(np.sqrt(217 / 218 / 218 / 216))
    assert 0 < standard_error(0.0, 5) == pytest.approx(standard_error(1.0, 5))
    for images in (10, 216, 5000):
        # One wrong image fewer tells nothing where all are right; two do.
        one, two = 1 - 1 / images, 1 - 2 / images
        assert Rule(images).equal(np.array([1.0, one, two])).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("images", "gap", "same"), [(216, 0.02, False), (216, 0.008, True), (5000, 0.008, False)]
)
def test_more_images_tell_smaller_differences(images: int, gap: float, same: bool) -> None:
    assert bool(Rule(images).equal(np.array([0.98, 0.98 - gap]))[1]) is same


def test_among_equal_accuracies_throughput_decides() -> None:
    """The fastest network first in the list: 2 images fewer are told apart, 1 is not."""
    told, equal, best = 100 * 214 / 216, 100 * 215 / 216, 100.0
    found = chosen([told, equal, best])
    assert found.trained.accuracy == equal / 100
    assert found.figures.images_per_second == fastest(networks()[1])
    assert chosen([equal, told, best]).trained.candidate is networks()[0]
    assert chosen([told, told, best]).trained.candidate is networks()[2]


def test_equal_is_what_the_images_cannot_tell_from_the_best() -> None:
    """Both accuracies have an error: two images fewer than 215 of 216 are not told apart."""
    assert chosen([100 * 213 / 216, 100 * 215 / 216]).trained.candidate is networks()[0]
    assert chosen([100 * 212 / 216, 100 * 215 / 216]).trained.candidate is networks()[1]


def test_networks_are_told_apart_by_their_settled_accuracies() -> None:
    """One lucky epoch at the end does not make a fast network equal to a better one."""
    fast, good = trained([100.0, 100.0])
    lucky = dataclasses.replace(fast, settled=0.98)
    steady = dataclasses.replace(good, settled=0.999)
    for pair, rule, expected in (
        ([fast, good], Rule(IMAGES), fast),
        ([lucky, steady], Rule(IMAGES), steady),
        ([lucky, steady], Rule(IMAGES, min_accuracy=0.99), lucky),
    ):
        option = best_option(problem(), pair, rule)
        assert option is not None
        assert option.trained is expected


@pytest.mark.parametrize("goal", ["brams", "ffs", "latency", "bit-operations", "lut-time"])
def test_any_goal_can_be_preferred_and_be_an_objective(goal: str) -> None:
    """Of equal networks the design with the least is taken, among those on all NPUs that fit."""
    wide = dataclasses.replace(problem(), goals=goals_of(goal, ()))
    equal = trained([100.0] * 4)
    option = best_option(wide, equal, Rule(IMAGES, prefer=goal))
    assert option is not None
    least = np.inf
    for one in equal:
        every = engine.with_all_npus(problem(), one.candidate)
        least = min(least, every.estimate.amount(goal)[every.feasible].min())
    assert option.evaluated.estimate.amount(goal)[option.row] == least
    shown = shown_candidates(wide, equal, option)
    figure = GOALS[goal].figure
    assert all(set(c.objectives) == {figure} for c in shown)
    # What no other design of the page has as little of is on its front.
    assert any(c.on_front for c in shown if c.objectives[figure] == least)
    assert min(c.objectives[figure] for c in shown) == least


def test_preferences() -> None:
    accuracies = [100 * 215 / 216, 100 * 215 / 216, 100.0, 97.0]
    assert chosen(accuracies, prefer="accuracy").trained.candidate is networks()[2]
    small = chosen(accuracies, prefer="area")
    luts = [smallest(candidate) for candidate in networks()[:3]]
    assert small.figures.luts == min(luts)
    assert small.trained.candidate is networks()[int(np.argmin(luts))]
    # The knee is a compromise: between the fastest and the smallest NPU, if they differ.
    knee = chosen([99.0], prefer="knee").figures
    assert knee.luts is not None
    assert smallest(networks()[0]) < knee.luts
    assert knee.images_per_second is not None
    assert knee.images_per_second < fastest(networks()[0])


def test_an_accuracy_that_is_enough_takes_the_place_of_the_standard_error() -> None:
    accuracies = [92.0, 95.0, 99.0]
    assert chosen(accuracies, min_accuracy=0.90).trained.accuracy == 0.92
    assert chosen(accuracies, min_accuracy=0.93).trained.accuracy == 0.95
    assert chosen(accuracies, min_accuracy=0.999).trained.accuracy == 0.99
    assert chosen(accuracies, min_accuracy=0.90, prefer="accuracy").trained.accuracy == 0.99
    assert chosen(accuracies, min_accuracy=0.98, prefer="knee").trained.accuracy == 0.99


def test_a_refused_npu_is_followed_by_the_next_best_one() -> None:
    best = chosen([99.0, 95.0])
    refused = frozenset({best.candidate.tobytes()})
    second = best_option(problem(), trained([99.0, 95.0]), Rule(IMAGES), refused)
    assert second is not None
    assert second.trained.accuracy == 0.99
    assert second.candidate.tobytes() != best.candidate.tobytes()
    tight = dataclasses.replace(problem(), area_factor=50.0)
    assert best_option(tight, trained([99.0]), Rule(IMAGES)) is None
    assert finalists(tight, trained([99.0]), Rule(IMAGES), 4) == []


def test_fewer_one_bits_are_chosen_within_the_accuracy_given_up_for_them() -> None:
    one = problem()
    results = trained([95.0, 94.0, 93.5, 90.0], [900, 500, 501, 100])
    for within, expected in ((None, 0.95), (0.0, 0.95), (0.02, 0.94), (0.05 + 1e-9, 0.9)):
        best = best_option(one, results, Rule(5000, boo_within=within))
        assert best is not None
        assert best.trained.accuracy == expected, within
    shown = shown_candidates(one, results, best, one_bits=True)
    assert {c.one_bits for c in shown} == {900, 500, 501, 100}
    assert next(c for c in shown if c.chosen).one_bits == 100
    # Nothing beats the fewest one-bits, however inaccurate.
    assert any(c.on_front for c in shown if c.one_bits == 100)
    plain = shown_candidates(one, results, best)
    assert {c.one_bits for c in plain} == {None}
    finals = finalists(one, results, Rule(5000, boo_within=0.06), 4)
    assert 100 in {final.one_bits for final in finals}


def test_finalists_are_the_most_accurate_one_and_fast_ones_within_reach() -> None:
    """Networks are sorted by throughput, the fastest first."""
    short = trained([80.0, 97.6, 97.8, 98.0, 98.6, 99.5, 99.0, 97.8], full=False)
    found = finalists(problem(), short, Rule(IMAGES), 8)
    accuracies = [one.accuracy for one in found]
    assert accuracies[0] == 0.995
    assert set(accuracies[1:4]) == {0.976, 0.978, 0.98}, "the fastest of nearly equal chances"
    assert 0.8 not in accuracies
    assert len(found) == len({id(one) for one in found}) == 7
    few = [one.accuracy for one in finalists(problem(), short, Rule(IMAGES), 3)]
    assert few == accuracies[:3]
    assert [one.accuracy for one in finalists(problem(), short, Rule(IMAGES), 1)] == [0.995]
    accurate = finalists(problem(), short, Rule(IMAGES, prefer="accuracy"), 3)
    assert [one.accuracy for one in accurate] == [0.995, 0.99, 0.986]
    low = finalists(problem(), short, Rule(IMAGES, min_accuracy=0.85), 8)
    assert 0.8 in [one.accuracy for one in low]


def test_reach_is_in_errors_of_both_accuracies() -> None:
    """A short training with all images right has hardly an error: the others' errors count."""
    rule = Rule(IMAGES)
    for right in (IMAGES, IMAGES - 1):
        shares = np.array([right, right - 10, right - 16]) / IMAGES
        assert rule.reachable(shares).tolist() == [True, True, False]
        best, near, far = rule.chances(shares)
        assert 1 > best > 0.95 > near > 0.1 > far > 0


def test_chances_of_networks_among_which_the_best_is_not() -> None:
    rule, accuracies = Rule(IMAGES), np.array([0.99, 0.97, 0.95])
    alone = rule.chances(accuracies[1:], best=0.99)
    assert alone.tolist() == rule.chances(accuracies)[1:].tolist()
    enough = Rule(IMAGES, min_accuracy=0.95)
    assert np.all(enough.chances(accuracies) > rule.chances(accuracies))


def test_the_front_marks_the_chosen_design_and_what_was_trained_fully() -> None:
    one = problem()
    results = [*trained([90.0]), dataclasses.replace(trained([1, 80.0], full=False)[1])]
    best = best_option(one, results[:1], Rule(IMAGES))
    shown = shown_candidates(one, results, best)
    assert [c.chosen for c in shown].count(True) == 1
    assert next(c for c in shown if c.chosen).on_front
    assert {c.accuracy for c in shown if c.trained_fully} == {0.9}
    assert {c.accuracy for c in shown if not c.trained_fully} == {0.8}
    for candidate in shown:
        beaten = [
            c for c in shown
            if c.accuracy >= candidate.accuracy and c.luts <= candidate.luts
            and c.images_per_second >= candidate.images_per_second
            and (c.accuracy, c.images_per_second, c.luts)
            != (candidate.accuracy, candidate.images_per_second, candidate.luts)
        ]  # fmt: skip
        assert candidate.on_front == (not beaten)


def test_names_are_readable_and_those_of_one_network_alone() -> None:
    space = problem().space
    random = np.random.default_rng(0)
    drawn = space.canonical(random.integers(0, space.sizes, (400, len(space.sizes))))
    drawn[200:, space.index["stages"]] = drawn[:200, space.index["stages"]]
    near = drawn[:50].copy()
    near[:, space.index["pooling"]] = 1 - near[:, space.index["pooling"]]
    every = list(space.canonical(np.vstack([drawn, near])))
    names = readable_names(space, every)
    keys = [network_key(space, candidate) for candidate in every]
    assert len(set(zip(names, keys, strict=True))) == len(set(names)) == len(set(keys))
    candidate = np.zeros(len(space.sizes), dtype=np.int64)
    for name, value in {"stages": 3, "channels1": 24, "channels2": 8, "channels3": 32}.items():
        choices = space.parameters[space.index[name]].choices
        candidate[space.index[name]] = choices.index(value)
    (name,) = readable_names(space, [candidate])
    assert name.startswith("3 stages 24-8-32, w")
