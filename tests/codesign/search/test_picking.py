"""What is picked to be trained next: accurate networks at a floor of throughput, too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import expit

from codesign.cost.cycles.layers import LayerTable
from codesign.results import Budget
from codesign.search import picking
from codesign.search.accuracy.features import capacity, network_features
from codesign.search.engine import InnerSearch, Problem
from codesign.search.pareto import Floats
from codesign.search.picking import Picker
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from tests.codesign.cost import synthetic

FLOOR = 200_000.0


class _Capacity:
    """A belief, and its prediction: log odds grow with capacity, and are nearly certain."""

    def features(self, layers: LayerTable) -> Floats:
        return network_features(layers)

    def after(self, features: Floats, accuracies: Floats) -> _Capacity:
        return self

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        return 0.2 * (capacity(features) - 40), np.full(len(features), 0.05)

    def network_odds(self, layers: LayerTable) -> Floats:
        return self.odds(self.features(layers))[0]


def of_two_stages() -> SearchSpace:
    """Return a space of one kind of network."""
    whole = load_declaration("digits")
    network = dataclasses.replace(whole.network, stages=(2,))
    return SearchSpace(dataclasses.replace(whole, network=network), (1, 8, 8), 10)


def picked(floor: float | None, prefer: str = "throughput", seed: int = 0) -> tuple[Floats, Floats]:
    """Return log odds and images/s of the first four picks, each (4,); the pool's best comes last.

    Both arrays have five numbers: those of the picks, and of the pool's most accurate network.
    """
    problem = Problem(of_two_stages(), synthetic.model(), Budget(luts=12_000, min_throughput=floor))
    inner = InnerSearch(problem, "evolution", seed)
    picker = Picker(inner, _Capacity(), prefer=prefer, one_bits=False)
    pool = inner.run(picker.score, 2000)
    odds = picker.score(pool.layers)
    rows = [*picker.pick(pool, 4), int(np.argmax(odds))]
    return odds[rows], pool.estimate.images_per_second[rows]


def firsts(seeds: range) -> list[bool]:
    """Return for each seed whether the first pick at a floor is the pool's most accurate."""
    found = []
    for seed in seeds:
        odds, rates = picked(FLOOR, "knee", seed)
        assert (rates >= FLOOR).all()
        found.append(bool(odds[0] == odds[4]))
    return found


def test_the_most_accurate_networks_at_a_floor_are_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reference at the floor itself less accurate ones are picked in some searches."""
    assert all(firsts(range(3)))
    monkeypatch.setattr(picking, "ROOM", 0.0)
    assert not all(firsts(range(3)))


def test_at_a_floor_all_picks_are_of_the_most_accurate() -> None:
    odds, rates = picked(FLOOR)
    assert (rates >= FLOOR).all()
    front, _ = picked(FLOOR, "knee")
    assert odds[0] == odds[4]
    assert odds[:4].sum() > front[:4].sum()
    assert odds.tolist() == picked(FLOOR, "accuracy")[0].tolist()
    assert picked(None)[0].tolist() == picked(None, "knee")[0].tolist()  # of the whole front


def test_at_a_floor_the_last_round_is_for_accuracy_too() -> None:
    problem = Problem(of_two_stages(), synthetic.model(), Budget(luts=12_000, min_throughput=FLOOR))
    inner = InnerSearch(problem, "evolution", 0)
    picker = Picker(inner, _Capacity(), prefer="throughput", one_bits=False)
    pool = inner.run(picker.score, 2000)
    known = pool.candidates[picker.pick(pool, 4)]
    accuracies = expit(picker.score(problem.space.layers(known)))
    picker.learn(list(known), accuracies, np.ones(4))
    every = picker.pick(pool, 4, lambda shares: np.ones(len(shares)))  # all count as equal
    assert every == picker.pick(pool, 4)


def test_without_a_floor_there_is_no_room_below(monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = picked(None)
    monkeypatch.setattr(picking, "ROOM", 0.0)
    assert picked(None)[0].tolist() == before.tolist()


def test_each_number_of_stages_is_searched_and_picked_at_first() -> None:
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    problem = Problem(space, synthetic.model(), Budget(luts=12_000))
    inner = InnerSearch(problem, "evolution", seed=0)
    before = np.bincount(space.kinds(inner.archive().candidates), minlength=3)
    picker = Picker(inner, _Capacity(), prefer="throughput", one_bits=False)
    inner.spread(picker.score, 600)
    after = np.bincount(space.kinds(inner.archive().candidates), minlength=3)
    assert (after - before).tolist() == [200, 200, 200]
    pool = inner.run(picker.score, 400)
    kinds = space.kinds(pool.candidates)
    first = picker.pick(pool, 4)
    assert set(kinds[first]) == {0, 1, 2}
    picker.learn(pool.candidates[first], np.full(4, 0.9), np.ones(4))
    assert len(set(kinds[picker.pick(pool, 4)])) < 3  # of the believed best from then on


def test_a_space_of_one_kind_is_not_divided() -> None:
    inner = InnerSearch(
        Problem(of_two_stages(), synthetic.model(), Budget(luts=12_000)), "evolution", 0
    )
    known = inner.evaluations
    inner.spread(_Capacity().network_odds, 600)
    assert inner.evaluations == known
