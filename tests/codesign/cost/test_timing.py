"""The timing model finds the clock that is in its data, and its intervals hold.

Also: wider intervals outside the data, and data files that are refused with file and line.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from codesign.cost.area import dsps
from codesign.cost.area.composed import analytic
from codesign.cost.characterization import sampling
from codesign.cost.data import timing_data
from codesign.cost.data.timing_data import TimingRow
from codesign.cost.table import ConfigTable
from codesign.cost.timing import MOST, TimingModel
from codesign.results import UserError
from rtl_gen.config import NpuConfig

NOISE = 0.03


def rows(count: int, seed: int = 1, noise: float = NOISE) -> list[TimingRow]:
    """Return rows with a made-up clock period of ``count`` sampled NPUs.

    It grows with the square roots of LUTs and DSP slices (wire lengths), with log-normal noise.
    """
    configs = sampling.sample(count, 9000.0, seed)
    table = ConfigTable.of(configs)
    period = 6 + 1.2 * np.sqrt(analytic(table, "luts") / 1000)
    period += 0.4 * np.sqrt(dsps.dsp_count(table, "ecp5"))
    period *= np.exp(np.random.default_rng(seed).normal(0, noise, count))
    return [
        TimingRow(
            config,
            sites=4000.0,
            fmax_mhz=round(1000 / ns, 2),
            rtl_hash="0" * 12,
            tool="fake 1",
            date="2026-01-01",
            seconds=60.0,
        )
        for config, ns in zip(configs, period, strict=True)
    ]


@pytest.fixture(scope="module")
def model() -> TimingModel:
    return TimingModel.fit(rows(60))


def test_the_model_finds_what_is_in_the_data(model: TimingModel) -> None:
    fresh = rows(200, seed=2)
    found = model.estimate(ConfigTable.of([row.config for row in fresh]))
    truth = np.array([row.fmax_mhz for row in fresh])
    assert np.mean(np.abs(found.fmax_mhz / truth - 1)) < 1.5 * NOISE
    inside = (found.low <= truth) & (truth <= found.high)
    assert 0.8 <= inside.mean() <= 0.99
    assert np.mean((found.high - found.low) / truth) < 8 * NOISE


def test_the_factors_of_the_period_are_never_negative(model: TimingModel) -> None:
    assert (model.model.factors >= 0).all()
    assert model.model.factors[1] > 0


def test_outside_the_data_intervals_are_wider_and_the_dimension_is_named(
    model: TimingModel,
) -> None:
    inside = rows(60)[7].config
    outside = dataclasses.replace(inside, memory_port_bits=64, memory_tiles=True)
    widths = []
    for config in (inside, outside):
        found = model.estimate(ConfigTable.of([config]))
        widths.append(float(np.log(found.high / found.low)[0]))
    assert widths[1] > 2 * widths[0]
    assert model.outside(inside) is None
    assert "memory_tiles 1 (has 0)" in (model.outside(outside) or "")


def test_an_npu_larger_than_all_data_is_outside_though_every_parameter_is_inside(
    model: TimingModel,
) -> None:
    knobs = {knob: high for knob, (_, high) in model.domain.ranges.items()}
    knobs["columns"] -= knobs["columns"] % knobs["lanes"]
    knobs["post_units"] = math.gcd(knobs["lanes"], knobs["post_units"])
    most = NpuConfig(**knobs)
    assert "LUTs (has up to" in (model.outside(most) or "")
    assert "lanes" not in (model.outside(most) or "")
    found = model.estimate(ConfigTable.of([most]))
    assert found.high[0] / found.low[0] == pytest.approx(np.exp(2 * MOST))


def test_intervals_end_at_a_factor_of_two_however_far_outside(model: TimingModel) -> None:
    far = NpuConfig(pixels=16, lanes=64, columns=128, sparsity="4:8", memory_port_bits=64,
                    memory_tiles=True, weight_digit_bits=8, activation_bits=8)  # fmt: skip
    found = model.estimate(ConfigTable.of([far]))
    assert found.high[0] / found.fmax_mhz[0] == pytest.approx(2)
    assert found.fmax_mhz[0] / found.low[0] == pytest.approx(2)


def test_timing_rows_survive_the_round_trip(tmp_path: Path) -> None:
    path = timing_data.beside(tmp_path / "data.csv")
    written = rows(30)
    timing_data.write(path, written)
    assert sorted(timing_data.read(path), key=lambda row: row.config.hash) == sorted(
        written, key=lambda row: row.config.hash
    )
    assert TimingModel.load(path).estimate(ConfigTable.of([written[0].config])).fmax_mhz[0] > 50


def test_rows_of_other_tools_are_not_mixed_in() -> None:
    others = [dataclasses.replace(row, tool="fake 2", fmax_mhz=900.0) for row in rows(25)]
    mixed = TimingModel.fit([*rows(60), *others])
    assert mixed.errors.tolist() == TimingModel.fit(rows(60)).errors.tolist()
    with pytest.raises(UserError, match=r"has 10 rows, the model needs 20 of several families"):
        TimingModel.fit(rows(10))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("fmax_mhz", "fmax", r"csv:1: wrong columns: missing fmax_mhz; 1 unknown"),
        (",111.25,", ",111250000,", r"csv:2: fmax_mhz cannot be 1.1125e\+08: .* in another unit"),
        (",111.25,", ",nan,", r"csv:2: numbers must be finite"),
        (",111.25,", ",0,", r"csv:2: fmax_mhz cannot be 0"),
        (",4000,", ",4000.5,", r"csv:2: sites cannot be 4000.5: counts are whole"),
        (",111.25,", ",fast,", r"csv:2: not a number: .*fast"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "data.csv"
    timing_data.write(path, [dataclasses.replace(rows(1)[0], fmax_mhz=111.25)])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        timing_data.read(path)


def test_results_of_one_configuration_that_differ_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    timing_data.write(path, [dataclasses.replace(rows(1)[0], fmax_mhz=111.25)])
    head, line = path.read_text().splitlines()
    path.write_text("\n".join([head, line, line.replace("111.25", "112.5"), ""]))
    with pytest.raises(UserError, match=r"csv:3: .* twice, with fmax_mhz 111.25 and 112.5"):
        timing_data.read(path)
