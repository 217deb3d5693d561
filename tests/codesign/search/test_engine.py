"""The search engine prunes and finds feasible designs.

On an area model fitted to analytic counts. Also the reasons given where nothing fits.
"""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cache

import numpy as np
import pytest

from codesign.cost.area.model import AreaModel
from codesign.cost.cycles.layers import LayerTable
from codesign.cost.timing import TimingModel
from codesign.explore.telling.reasons import nothing_fits, reasons
from codesign.goals import GOALS
from codesign.results import Budget
from codesign.search import engine, strategies
from codesign.search.accuracy.features import network_features
from codesign.search.accuracy.predictor import AccuracyPredictor, farthest
from codesign.search.engine import InnerSearch, Problem
from codesign.search.pareto import hypervolume
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.strategies import STRATEGIES
from rtl_gen.parameters import DEPTH_RANGES
from tests.codesign.cost import synthetic


@cache
def model() -> AreaModel:
    """Return an area model fitted to the analytic counts."""
    return synthetic.model()


def problem(**limits: float | None) -> Problem:
    """Return the search for the digits space within these limits."""
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    return Problem(space, model(), Budget(**limits))


def capacity(layers: LayerTable) -> np.ndarray:
    """Return a stand-in for accuracy: the logarithm of the network's products."""
    return network_features(layers)[:, 0]


def samples(one: Problem, count: int, seed: int = 0) -> engine.Evaluated:
    """Return ``count`` random candidates, evaluated."""
    random = np.random.default_rng(seed)
    sizes = one.space.sizes
    return one.evaluate(one.space.canonical(random.integers(0, sizes, (count, len(sizes)))))


def test_a_design_is_feasible_when_its_upper_estimate_meets_every_limit() -> None:
    one = problem(luts=9000, brams=20, min_throughput=5000, max_latency_us=150)
    found = samples(one, 400)
    area = found.estimate.area
    expected = (
        (area.high["luts"] <= 9000)
        & (area.brams <= 20)
        & (found.estimate.images_per_second >= 5000)
        & (found.estimate.cycles / 100 <= 150)
        & (area.dsps <= 0)
        & (found.layers.macs.sum(axis=1) <= one.space.declaration.max_macs)
        & found.estimate.words.fits()
    )
    assert (found.feasible == expected).all()
    assert 0 < expected.sum() < 400
    tighter = dataclasses.replace(one, area_factor=1.3).evaluate(found.candidates)
    assert (tighter.feasible <= found.feasible).all()
    assert tighter.feasible.sum() < found.feasible.sum()


def test_without_a_clock_each_npu_has_the_one_it_is_estimated_to_reach() -> None:
    fixed = dataclasses.replace(problem(luts=40_000, min_throughput=5000), family="ecp5")
    found = samples(fixed, 200)
    budget = dataclasses.replace(fixed.budget, clock_mhz=None)
    timed = dataclasses.replace(fixed, budget=budget).evaluate(found.candidates)
    clock = timed.estimate.clock_mhz
    low = TimingModel.of("ecp5").estimate(timed.estimate.npu).low
    assert (clock <= low).all()
    assert (low - clock < 0.1 + 1e-9).all()
    assert len(np.unique(clock)) > 20
    rate = found.estimate.images_per_second * clock / fixed.budget.clock_mhz
    np.testing.assert_allclose(timed.estimate.images_per_second, rate)
    np.testing.assert_allclose(timed.estimate.latency_us, found.estimate.cycles / clock)
    np.testing.assert_allclose(timed.excess["throughput"], 5000 / rate - 1)


def test_only_families_with_a_timing_model_do_without_a_clock() -> None:
    with pytest.raises(ValueError, match=r"no model estimates clocks of xc7: .*clock_mhz"):
        samples(problem(luts=40_000, clock_mhz=None), 1)


@pytest.mark.parametrize(
    ("limit", "goal"), [("max_bit_operations", "bit-operations"), ("max_lut_us", "lut-time")]
)
def test_proxies_of_energy_are_limits(limit: str, goal: str) -> None:
    """Of random designs those within the budget that are below the limit are feasible."""
    free = samples(problem(luts=9000), 400)
    amounts = free.estimate.amount(goal)
    most = float(np.median(amounts[free.feasible]))
    bound = problem(**{"luts": 9000, limit: most})
    found = samples(bound, 400)
    assert (found.feasible == (free.feasible & (amounts <= most))).all()
    nothing = InnerSearch(problem(**{"luts": 90_000, limit: 0.01}), "random", 0)
    reason = next(
        one for one in nothing_fits(nothing).reasons if one.resource == GOALS[goal].figure
    )
    assert reason.levers[0] == f"raise --{limit.replace('_', '-')}"
    assert reason.have == 0.01 < reason.need


def test_figures_of_goals_are_those_of_a_design() -> None:
    found = samples(problem(luts=9000), 50)
    layers, one = found.layers, 7
    figures = found.estimate.figures(one)
    assert found.estimate.amount("latency")[one] == figures.cycles_per_image / 100
    assert found.estimate.amount("brams")[one] == figures.brams
    assert found.estimate.amount("lut-time")[one] == pytest.approx(
        1e6 * figures.luts / figures.images_per_second
    )
    by_hand = sum(
        int(macs) * int(weight) * int(bits)
        for macs, weight, bits in zip(
            layers.macs[one], layers.weight_bits[one], layers.in_bits[one], strict=True
        )
    )
    assert found.estimate.amount("bit-operations")[one] == by_hand
    for goal, of in GOALS.items():
        ranked = np.argsort(found.estimate.cost(goal), kind="stable")
        sign = -1 if of.best == "maximize" else 1
        assert (np.diff(sign * found.estimate.amount(goal)[ranked]) >= 0).all()


def test_a_further_objective_is_searched_for() -> None:
    """Block RAMs as an objective: front designs of fewer of them, at the same throughput."""
    one = problem(luts=9000)
    wide = dataclasses.replace(one, goals=(*one.goals, "brams"))
    found = [explored(wide, seed, 3000) for seed in range(5)]
    shown = engine.front(capacity(found[0].layers), wide.costs(found[0].estimate))
    plain = [explored(one, seed, 3000) for seed in range(5)]

    def volume(of: engine.Evaluated) -> float:
        points = np.column_stack([-capacity(of.layers), wide.costs(of.estimate)])
        return hypervolume(points, np.array([-5.0, 0.0, np.log(9000), np.log(40)]))

    assert shown.sum() > 10
    assert sum(map(volume, found)) > sum(map(volume, plain))


def explored(one: Problem, seed: int, evaluations: int) -> engine.Evaluated:
    """Return what the default strategy finds in so many evaluations, the first ones included."""
    search = InnerSearch(one, "evolution", seed)
    return search.run(capacity, evaluations - search.evaluations)


def test_search_returns_feasible_candidates_that_beat_random_ones() -> None:
    one = problem(luts=12000, brams=30)
    found = explored(one, seed=0, evaluations=3072)
    assert found.feasible.all()
    random = samples(one, 3072)
    rate = random.estimate.images_per_second[random.feasible]
    assert found.estimate.images_per_second.max() > rate.max()
    again = explored(one, seed=0, evaluations=3072)
    assert (again.candidates == found.candidates).all()


def test_a_search_goes_on_from_what_it_has_found_and_evaluates_nothing_twice() -> None:
    search = InnerSearch(problem(luts=12000), "evolution", seed=0)
    first = search.run(capacity, 512)
    assert search.evaluations == len(search._seen) == engine.SAMPLES + 512
    second = search.run(lambda layers: -capacity(layers), 512)
    assert search.evaluations == len(search._seen) == engine.SAMPLES + 1024
    old = {candidate.tobytes() for candidate in first.candidates}
    new = np.array([candidate.tobytes() not in old for candidate in second.candidates])
    assert (~new).sum() == len(old)
    # The new score, small networks first, counts.
    assert np.median(capacity(second.layers)[new]) < np.median(capacity(first.layers))


# A separate flow does not return to what it has decided: most of a space it never sees. Optuna's GP
# would take minutes.
@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if "separate" not in s and s != "gp"])
def test_a_small_space_is_searched_to_its_end(strategy: str) -> None:
    whole = load_declaration("tables")
    npu = dataclasses.replace(
        whole.npu, pixels=(1,), lanes=(4, 8), column_words=(1, 2), weight_digit_bits=(2,),
        post_units=(1,), scale_bits=(8,), multiplier=("lut",),
    )  # fmt: skip
    network = dataclasses.replace(whole.network, hidden=(0, 16), stages=(0,), head=("flatten",))
    bits = dataclasses.replace(whole.bits, input=(4,), weights=(2, 4), activations=(2, 4))
    space = SearchSpace(
        dataclasses.replace(whole, npu=npu, network=network, bits=bits), (8, 1, 1), 3
    )
    grids = np.meshgrid(*(np.arange(size) for size in space.sizes), indexing="ij")
    every = np.unique(space.canonical(np.stack(grids, -1).reshape(-1, len(space.sizes))), axis=0)
    assert space.designs == len(every)
    one = Problem(space, model(), Budget(luts=30000))
    search = InnerSearch(one, strategy, seed=0)
    found = search.run(capacity, 10_000)
    assert search.evaluations == len(every)
    assert len(found.candidates) == one.evaluate(every).feasible.sum()


def test_a_strategy_that_starts_sees_more_than_a_few_feasible_candidates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[np.ndarray] = []

    class Recording(strategies.Evolution):
        def tell(self, candidates, objectives, violation) -> None:
            told.append(violation)
            super().tell(candidates, objectives, violation)

    monkeypatch.setattr(strategies, "STRATEGIES", {"recording": Recording})
    search = InnerSearch(problem(luts=5000, min_throughput=40_000), "recording", seed=0)
    assert 0 < search.sampled_feasible < search.sampled
    search.run(capacity, 40)
    first = told[0]
    assert len(first) == search.sampled
    assert (first <= 0).sum() == search.sampled_feasible
    assert (np.diff(first) >= 0).all()
    assert search.feasible().feasible.all()


def test_a_rare_feasible_region_is_found_and_spread_in() -> None:
    """Less than one in 20,000 designs is feasible, so none of those that the search starts with.

    Shrinking the space by its samples, as was done before, left such searches with one.
    """
    space = SearchSpace(load_declaration("images"), (3, 32, 32), 10)
    one = Problem(space, model(), Budget(luts=10_000, min_throughput=30_000))
    assert samples(one, 20_000).feasible.sum() == 0
    for seed in range(3):
        search = InnerSearch(one, "evolution", seed)
        assert search.run(capacity, 6000).feasible.sum() > 1000
        assert search.sampled_feasible == 0


@pytest.mark.parametrize(
    ("limits", "resource", "lever"),
    [
        ({"luts": 500}, "luts", "raise --lut-budget"),
        ({"luts": 30000, "min_throughput": 1e8}, "throughput", "lower --min-throughput"),
        ({"luts": 30000, "max_latency_us": 0.01}, "latency_us", "raise --max-latency-us"),
        ({"luts": 30000, "ffs": 300}, "ffs", "raise --ff-budget"),
    ],
)
def test_reasons_name_what_runs_out(limits: dict[str, float], resource: str, lever: str) -> None:
    one = problem(**limits)
    pool = explored(one, seed=0, evaluations=2048)
    assert not pool.feasible.any()
    reason = next(r for r in reasons(one, pool) if r.resource == resource)
    assert lever in reason.levers
    wanted = next(iter({k: v for k, v in limits.items() if k != "luts"}.values()), 500)
    if resource == "throughput":
        assert reason.have < reason.need == wanted
    else:
        assert reason.need > reason.have == wanted


def test_reasons_have_real_figures_as_people_write_them() -> None:
    """Images of 600 x 600 need deeper memories than there are."""
    space = SearchSpace(load_declaration("images"), (3, 600, 600), 2)
    budget = Budget(luts=500, ffs=300, max_latency_us=1.0, brams=2.5)
    one = Problem(space, model(), budget)
    pool = samples(one, 50)
    row = int(np.argmin(pool.violation))
    found = {reason.resource: reason for reason in reasons(one, pool)}
    deep = {name: high for name, (_, high) in DEPTH_RANGES.items() if name in found}
    assert deep
    for name, high in deep.items():
        assert (found[name].need, found[name].have) == (
            getattr(pool.estimate.words, name)[row], high,
        )  # fmt: skip
        assert found[name].need > high
    assert found["luts"].need == math.ceil(pool.estimate.area.bound["luts"][row])
    told = "\n".join(map(str, found.values()))
    assert re.search(r"needs [\d,]+ LUTs, has 500;", told)
    assert re.search(r"needs [\d,]+ flip-flops, has 300;", told)
    assert re.search(r"needs [\d,.]+ block RAMs, has 2.5;", told)
    assert re.search(r"needs [\d,.]+ us of latency, has 1;", told)
    assert re.search(r"needs [\d,]+ MACs, has [\d,]+;", told)


def test_the_predictor_ranks_networks_that_it_did_not_see() -> None:
    found = samples(problem(luts=1e6), 60)
    described = network_features(found.layers)
    assert np.isfinite(described).all()
    truth = 0.6 + 0.38 / (1 + np.exp(-(described[:, 0] - 10) - 0.5 * (described[:, 3] - 3)))
    predictor = AccuracyPredictor(described[:20], truth[:20], images=200)
    predicted = predictor.predict(described[20:])
    assert ((predicted > 0) & (predicted < 1)).all()
    order, wanted = predicted.argsort().argsort(), truth[20:].argsort().argsort()
    assert np.corrcoef(order, wanted)[0, 1] > 0.85


def test_farthest_points_start_with_the_first_and_avoid_what_is_taken() -> None:
    points = np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    assert farthest(points, points[:0], 3) == [0, 2, 3]
    assert farthest(points, points[2:3], 2) == [0, 3]
    assert farthest(points, points, 3) == []
