"""The answer "nothing fits", checked against enumerations of small spaces."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest

from codesign.explore.telling.reasons import nothing_fits
from codesign.results import Budget
from codesign.search import engine
from codesign.search.engine import Evaluated, InnerSearch, Problem
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from tests.codesign.cost import synthetic
from tests.codesign.search.test_engine import capacity

BUDGET_FIELDS = {"luts": "luts", "ffs": "ffs", "brams": "brams", "throughput": "min_throughput",
                 "latency_us": "max_latency_us"}  # fmt: skip


@cache
def small_space() -> SearchSpace:
    """Return a space of some thousand designs."""
    whole = load_declaration("digits")
    npu = dataclasses.replace(
        whole.npu, pixels=(1, 2), lanes=(4, 8), column_words=(1, 2), weight_digit_bits=(1, 2),
        post_units=(1,), multiplier=("lut",),
    )  # fmt: skip
    network = dataclasses.replace(
        whole.network, stages=(1, 2), convs=(1,), channels=(8, 16), kernels=(3,), pooling=("max",),
        hidden=(0,),
    )  # fmt: skip
    bits = dataclasses.replace(whole.bits, weights=(2, 4), activations=(2, 4))
    return SearchSpace(
        dataclasses.replace(whole, npu=npu, network=network, bits=bits), (1, 8, 8), 10
    )


def problem(**limits: float | None) -> Problem:
    return Problem(small_space(), synthetic.model(), Budget(**limits))


def every(one: Problem) -> Evaluated:
    return one.evaluate(one.space.every())


def test_every_design_of_a_space_is_enumerated_once() -> None:
    space = small_space()
    found = space.every()
    assert len(np.unique(found, axis=0)) == len(found) == space.designs
    assert (space.canonical(found) == found).all()
    assert (found < space.sizes).all()
    random = np.random.default_rng(0).integers(0, space.sizes, (3000, len(space.sizes)))
    rows = {row.tobytes() for row in found}
    assert {row.tobytes() for row in space.canonical(random)} <= rows


def limits_around_feasibility() -> list[dict[str, float]]:
    """Return budgets just met and just missed by the designs of the small space.

    Of two limits each: the least LUTs at a throughput that few designs have, and a LUT less.
    """
    everything = every(problem())
    rates, luts = everything.estimate.images_per_second, everything.estimate.area.bound["luts"]
    found = []
    for share in (0.5, 0.9, 0.999):
        floor = float(np.quantile(rates, share))
        least = float(luts[rates >= floor].min())
        found += [
            {"min_throughput": floor, "luts": least}, {"min_throughput": floor, "luts": least - 1}
        ]  # fmt: skip
    return found


@pytest.mark.parametrize("which", range(6))
def test_a_small_space_fits_if_and_only_if_its_enumeration_does(which: int) -> None:
    one = problem(**limits_around_feasibility()[which])
    truth = every(one)
    search = InnerSearch(one, "evolution", seed=which)
    found = search.run(capacity, 400)
    assert found.feasible.any() == truth.feasible.any() == (which % 2 == 0)
    if found.feasible.any():
        return
    assert search.whole
    assert search.feasible_share == (0, 0, 0)
    assert search.evaluations == len(truth.candidates)
    error = nothing_fits(search)
    assert error.details["nearest"]["violation"] == truth.violation.min()
    names = {item["limit"] for item in error.details["would_fit"]}
    assert names >= {"luts", "throughput"}
    for item in error.details["would_fit"]:
        field, slack = BUDGET_FIELDS[item["limit"]], 0.99 if item["limit"] == "throughput" else 1.01
        eased = problem(**{**limits_around_feasibility()[which], field: item["enough"]})
        assert every(eased).feasible.any()
        # One per cent less generous is enough for no design, whatever is rounded.
        tighter = dataclasses.replace(eased.budget, **{field: item["enough"] / slack})
        assert not every(dataclasses.replace(eased, budget=tighter)).feasible.any()
    assert f"all {search.evaluations:,} designs of the space: none fits" in str(error)


def test_a_large_space_says_what_would_fit_and_how_rare_it_is_at_most() -> None:
    space = SearchSpace(load_declaration("images"), (3, 32, 32), 10)
    one = Problem(space, synthetic.model(), Budget(luts=4000, min_throughput=60_000))
    search = InnerSearch(one, "evolution", seed=0)
    assert not search.run(capacity, 1000).feasible.any()
    assert search.sampled > engine.WIDER
    error = nothing_fits(search)
    low, high = error.details["search"]["feasible_share_interval"]
    assert low == 0 < high < 1 / 4000
    assert {item["limit"] for item in error.details["would_fit"]} == {"luts", "throughput"}
    pool = search.archive()
    for item in error.details["would_fit"]:
        budget = dataclasses.replace(one.budget, **{BUDGET_FIELDS[item["limit"]]: item["enough"]})
        eased = dataclasses.replace(one, budget=budget)
        assert eased.evaluate(pool.candidates).feasible.any()
    assert "found, not proven to be the least" in str(error)
    assert "--lut-budget" in str(error)


def test_when_no_single_limit_is_enough_it_says_so() -> None:
    """Images of 600 x 600 need deeper memories than there are, whatever the budget."""
    space = SearchSpace(load_declaration("images"), (3, 600, 600), 2)
    search = InnerSearch(Problem(space, synthetic.model(), Budget(luts=500)), "evolution", seed=0)
    assert not search.run(capacity, 100).feasible.any()
    error = nothing_fits(search)
    assert error.details["would_fit"] == []
    assert "several have to be changed" in str(error)
    assert set(error.details["nearest"]["binding"]) == {reason.resource for reason in error.reasons}


def test_no_higher_clock_is_proposed_where_clocks_are_estimated() -> None:
    asked = {"min_throughput": 1e7, "max_latency_us": 1.0}
    timed = dataclasses.replace(problem(**asked, clock_mhz=None), family="ecp5")
    for one, proposed in ((problem(**asked), True), (timed, False)):
        search = InnerSearch(one, "random", seed=0)
        search.run(capacity, 64)
        levers = {reason.resource: reason.levers for reason in nothing_fits(search).reasons}
        for name in ("throughput", "latency_us"):
            assert ("raise --clock-mhz" in levers[name]) == proposed
