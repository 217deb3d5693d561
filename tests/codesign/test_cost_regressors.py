"""Regressors on data whose truth is known, and the promise of their intervals."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.exceptions import NotFittedError

from codesign.cost import dsps, features, sampling
from codesign.cost.area import FEWEST_ROWS, AreaModel
from codesign.cost.dataset import Row
from codesign.cost.regressors import BlockRegressor
from codesign.cost.table import ConfigTable
from codesign.results import UserError

BLOCKS = 3


def toy(count: int, seed: int, noise: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Counts with true factors 1.2, 0.8 and 0, times a smooth bend along the shape columns."""
    random = np.random.default_rng(seed)
    shape = random.uniform(0, 4, (count, 2))
    counts = np.exp(random.uniform(3, 6, (count, BLOCKS)))
    bend = 0.1 * np.sin(shape[:, 0]) + random.normal(0, noise, count)
    return np.column_stack([counts, shape]), (counts @ [1.2, 0.8, 0.0]) * np.exp(bend)


def test_it_learns_factors_and_bend() -> None:
    train, test = toy(150, 1), toy(200, 2)
    model = BlockRegressor(BLOCKS).fit(*train)
    error = np.abs(model.predict(test[0]) / test[1] - 1)
    assert error.mean() < 0.02
    plain = BlockRegressor(BLOCKS, correct=False).fit(*train)
    assert np.abs(plain.predict(test[0]) / test[1] - 1).mean() > 2 * error.mean()
    dummy = DummyRegressor().fit(*train)
    assert np.abs(dummy.predict(test[0]) / test[1] - 1).mean() > 10 * error.mean()


def test_far_from_the_data_it_falls_back_to_the_counts() -> None:
    X, y = toy(150, 1)
    model = BlockRegressor(BLOCKS).fit(X, y)
    far = X.copy()
    far[:, :BLOCKS] *= 20
    far[:, BLOCKS:] += 50
    assert np.allclose(model.predict(far), far[:, :BLOCKS] @ model.factors_, rtol=0.15)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_intervals_hold_what_they_promise(noise: float) -> None:
    train, test = toy(200, 3, noise), toy(600, 4, noise)
    low, high = BlockRegressor(BLOCKS).fit(*train).interval(test[0])
    inside = np.mean((low <= test[1]) & (test[1] <= high))
    assert 0.85 <= inside <= 0.96


def test_cross_validation_keeps_groups_together() -> None:
    random = np.random.default_rng(0)
    kinds = np.repeat(np.arange(12), 8)
    level = np.exp(random.normal(0, 0.5, 12))[kinds]
    counts = np.exp(random.uniform(3, 5, (96, 1)))
    X = np.column_stack([counts, kinds])
    model = BlockRegressor(1).fit(X, counts[:, 0] * level)
    y = counts[:, 0] * level
    apart = np.abs(np.log(model.cross_predict(X, y, kinds) / y)).mean()
    mixed = np.abs(np.log(model.cross_predict(X, y) / y)).mean()
    assert apart > 1.15 * mixed


def test_it_behaves_like_an_estimator() -> None:
    X, y = toy(40, 1)
    with pytest.raises(NotFittedError):
        BlockRegressor(BLOCKS).predict(X)
    with pytest.raises(ValueError, match="y must be positive"):
        BlockRegressor(BLOCKS).fit(X, -y)
    with pytest.raises(ValueError, match="NaN"):
        BlockRegressor(BLOCKS).fit(np.where(X > 5, np.nan, X), y)
    model = BlockRegressor(BLOCKS).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :-1])
    assert model.get_params()["blocks"] == BLOCKS
    assert (model.predict(X) == BlockRegressor(BLOCKS).fit(X, y).predict(X)).all()


def synthetic_rows(count: int) -> list[Row]:
    """Rows as if synthesis found 1.1 times the analytic count."""
    configs = sampling.sample(count, 20000.0, seed=3)
    table = ConfigTable.of(configs)
    luts = features.analytic_luts(table)
    ffs = np.sum(list(features.ff_blocks(table).values()), axis=0)
    memory = features.memory_counts(table)
    return [
        Row(config, 1.1 * luts[i], memory.lutrams[i] + 40.0, 0.9 * ffs[i], memory.brams[i],
            dsps.dsp_count(table)[i], "", "", "", 1.0)
        for i, config in enumerate(configs)
    ]  # fmt: skip


def test_area_model_reports_and_estimates_in_batches() -> None:
    rows = synthetic_rows(60)
    model = AreaModel(rows)
    table = ConfigTable.of([row.config for row in rows])
    found = model.estimate(table)
    assert np.allclose(found.luts, [row.luts for row in rows], rtol=0.03)
    assert (found.brams == [row.brams for row in rows]).all()
    assert (found.low["luts"] <= found.luts).all()
    assert (found.luts <= found.high["luts"]).all()
    report = model.report()
    assert report["luts"]["mape"] < 0.03
    assert report["luts"]["tau"] > 0.97
    assert report["brams"]["exact"] == 1.0
    many = table.take(np.arange(6000) % len(table))
    start = time.perf_counter()
    model.estimate(many)
    assert len(many) / (time.perf_counter() - start) > 1000


def test_more_of_anything_never_costs_less() -> None:
    model = AreaModel(synthetic_rows(80))
    base = sampling.sample(12, 8000.0, seed=9)
    for knob, limit in (("pixels", 16), ("columns", 128), ("activation_depth", 32768)):
        larger = []
        for config in base:
            value = min(getattr(config, knob) * 2, limit)
            larger.append(dataclasses.replace(config, **{knob: value}))
        before = model.estimate(ConfigTable.of(base))
        after = model.estimate(ConfigTable.of(larger))
        # A deeper memory may leave LUT RAM for block RAM: only its block RAMs must not fall.
        if knob != "activation_depth":
            assert (after.luts >= before.luts).all(), knob
        assert (after.brams >= before.brams).all(), knob


def test_too_little_data_is_refused() -> None:
    with pytest.raises(UserError, match=f"has 3 rows, the area model needs {FEWEST_ROWS}"):
        AreaModel(synthetic_rows(60)[:3])
