"""The shipped synthesis data, and what the model that is learned from it promises."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.density import POINTS
from codesign.cost import dataset, features
from codesign.cost.area import FAMILY_RATIOS, AreaModel, estimate_one
from codesign.cost.table import ConfigTable
from codesign.families import FAMILIES
from rtl_gen.config import NpuConfig


@pytest.fixture(scope="module")
def model() -> AreaModel:
    return AreaModel.load()


def test_the_data_is_of_one_tool_and_whole_npus() -> None:
    rows = dataset.read()
    assert len({row.tool for row in rows}) == 1
    for row in rows:
        assert row.lutrams < row.luts
        assert 900 < row.luts < 60_000
        assert row.ffs > 900


def test_the_analytic_counts_alone_are_close(model: AreaModel) -> None:
    table = ConfigTable.of([row.config for row in model.rows])
    measured = np.array([row.luts for row in model.rows])
    error = np.abs(features.analytic_luts(table) / measured - 1)
    assert np.median(error) < 0.06


def test_errors_on_unseen_families_stay_small(model: AreaModel) -> None:
    report = model.report()
    assert report["luts"]["mape"] < 0.04
    assert report["luts"]["p90"] < 0.07
    assert report["luts"]["tau"] > 0.95
    assert report["ffs"]["mape"] < 0.05
    assert report["lutrams"]["mape"] < 0.08
    assert report["brams"]["exact"] >= 0.98
    assert report["dsps"]["exact"] >= 0.98


def test_intervals_hold_what_was_measured(model: AreaModel) -> None:
    table = ConfigTable.of([row.config for row in model.rows])
    found = model.estimate(table)
    for name in ("luts", "ffs", "lutrams"):
        measured = np.array([getattr(row, name) for row in model.rows])
        inside = (found.low[name] <= measured) & (measured <= found.high[name])
        assert inside.mean() >= 0.88, name


def test_the_shared_hardware_of_two_sizes_is_estimated_apart() -> None:
    small = NpuConfig(pixels=2, lanes=8, columns=16, weight_digit_bits=2)
    large = NpuConfig(pixels=4, lanes=8, columns=32, weight_digit_bits=2)
    luts = [float(estimate_one(config).luts[0]) for config in (small, large)]
    # Four times the cells, the same control.
    assert 2.0 < luts[1] / luts[0] < 4.0


@pytest.mark.parametrize(
    ("sparsity", "luts", "ffs", "brams"),
    [("2:4", 9671, 10931, 17.0), ("1:4", 6250, 8008, 11.0), ("4:8", 10703, 11127, 19.0)],
)
def test_sparse_npus_are_estimated_and_said_to_be_outside_the_data(
    model: AreaModel, sparsity: str, luts: int, ffs: int, brams: float
) -> None:
    """Measured (2026-11-24, pyosys 0.70): the points of benchmarks.density."""
    config = POINTS[f"4x4-{sparsity}"]
    found = estimate_one(config)
    assert found.luts[0] == pytest.approx(luts, rel=0.04)
    assert found.ffs[0] == pytest.approx(ffs, rel=0.12)  # less well known: docs/cost_models.md
    assert found.brams[0] == brams
    assert f"no NPU of sparsity {sparsity}" in (model.outside(config) or "")
    assert model.outside(POINTS["4x4"]) is None


def test_sparse_dsps_are_those_of_the_slots() -> None:
    config = NpuConfig(activation_bits=8, weight_digit_bits=8, multiplier="dsp", sparsity="1:4")
    assert estimate_one(config).dsps[0] == config.multipliers == config.macs // 4


def test_column_reuse_is_counted(model: AreaModel) -> None:
    """Measured with and without: +268 LUTs, 79 of them LUTRAM, and +337 FFs; +309, 95 and +421
    (2026-11-24, pyosys 0.70, ``python -m benchmarks.density``)."""
    for point, luts, lutrams, ffs in (("3x4x4", 268, 79, 337), ("2x8x8", 309, 95, 421)):
        with_it, without = (
            model.estimate(ConfigTable.of([POINTS[name]])) for name in (f"{point}-reuse", point)
        )
        # Differences of two syntheses scatter by what mapping makes of the rest: 0.6 % of the NPU.
        assert with_it.luts[0] - without.luts[0] == pytest.approx(luts, abs=25)
        assert with_it.lutrams[0] - without.lutrams[0] == pytest.approx(lutrams, rel=0.05)
        assert with_it.ffs[0] - without.ffs[0] == pytest.approx(ffs, rel=0.05)


def test_a_memory_port_is_counted(model: AreaModel) -> None:
    """Measured with and without: +143 LUTs and +140 FFs, +170 and +232, +202 and +174, +279 and
    +242 (2026-11-24, pyosys 0.70)."""
    for point, bits, luts, ffs in (
        ("smallest", 32, 143, 140), ("smallest", 128, 170, 232),
        ("4x4", 32, 202, 174), ("4x4", 128, 279, 242),
    ):  # fmt: skip
        configs = [dataclasses.replace(POINTS[point], memory_port_bits=b) for b in (bits, 0)]
        with_it, without = (model.estimate(ConfigTable.of([config])) for config in configs)
        assert with_it.luts[0] - without.luts[0] == pytest.approx(luts, abs=50)
        assert with_it.ffs[0] - without.ffs[0] == pytest.approx(ffs, abs=30)


def test_every_family_has_ratios() -> None:
    assert set(FAMILY_RATIOS) == set(FAMILIES)


def test_another_family_has_its_own_counts_and_wider_intervals(model: AreaModel) -> None:
    """Measured: this NPU takes 19,650 LUT sites of an ECP5 (2026-11-24, pyosys 0.70)."""
    config = next(
        row.config
        for row in model.rows
        if (row.config.pixels, row.config.lanes, row.config.activation_bits) == (8, 6, 1)
    )
    table = ConfigTable.of([config])
    reference, other = model.estimate(table), model.estimate(table).on("ecp5")
    assert other.luts[0] == pytest.approx(19650, rel=0.1)
    assert other.low["luts"][0] < 19650 < other.high["luts"][0]
    width = [e.high["luts"][0] / e.low["luts"][0] for e in (reference, other)]
    assert width[1] > width[0]
    assert reference.on("xc7") is reference
    assert (other.brams == reference.brams).all()
