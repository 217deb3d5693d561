"""Baselines for the area model: simple regressors on the same splits, and a published formula.

The formula is that of the ICCAD 2019 joint search (NAQS), which tabulates the LUTs of multipliers
and adds up those of adders; it is not fitted to data.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from codesign.cost.area.composed import analytic
from codesign.cost.area.dsps import sum_tree
from codesign.cost.area.evaluation import Predictor, Trial
from codesign.cost.table import ConfigTable

Floats = NDArray[np.float64]
_MULTIPLIERS = Path(__file__).parents[1] / "data" / "iccad2019_multipliers.json"
ARRAY_BLOCKS = ("dot_products", "cells", "selection", "shared_operands")
"""Blocks of the NPU that the ICCAD formula counts: multipliers, adder trees, accumulators."""


def predictors(trial: Trial) -> Mapping[str, Predictor]:
    """Return the baselines on the rows of ``trial``, and the area model, by name."""
    knobs = np.column_stack([np.exp(trial.features.shape[:, :-4]), trial.features.shape[:, -4:]])
    counts, truth = analytic(trial.table, trial.resource), trial.measured.totals

    def fitted(model: RegressorMixin, columns: Floats) -> Predictor:
        return lambda train, test: model.fit(columns[train], truth[train]).predict(columns[test])

    def boosted(train: NDArray[np.int64], test: NDArray[np.int64]) -> Floats:
        model = HistGradientBoostingRegressor(max_iter=300, min_samples_leaf=5, random_state=0)
        model.fit(knobs[train], np.log(truth[train]))
        return np.asarray(np.exp(model.predict(knobs[test])))

    return {
        "mean": fitted(DummyRegressor(), knobs),
        "linear": fitted(LinearRegression(), knobs),
        "boosted trees, monolithic": boosted,
        "analytic counts alone": lambda train, test: counts[test],
        "composed": trial.composed,
    }


@functools.cache
def multiplier_table() -> Floats:
    """Return the LUTs of a multiplier of m x n bits, shape (17, 17), indexed by both widths."""
    table = np.zeros((17, 17))
    for name, luts in json.loads(_MULTIPLIERS.read_text())["luts"].items():
        a, b = map(int, name.split("x"))
        if max(a, b) < len(table):
            table[a, b] = table[b, a] = luts
    return table


def iccad2019_luts(c: ConfigTable) -> Floats:
    """Return the LUTs of the arrays by the ICCAD 2019 formula, shape (n,).

    Tn x Tm multipliers of activation by weight digit, Tm adder trees over Tn products (an n-bit
    adder takes n LUTs, widths grow by a bit per level) and Tm accumulators, where Tn is the lanes
    of a cell and Tm the number of cells. Registers and control are not counted.
    """
    cells = c.pixels * c.columns
    products = multiplier_table()[c.activation_bits, c.weight_digit_bits]
    trees = sum_tree(c.slots, c.activation_bits + c.weight_digit_bits)
    return np.asarray(cells * (c.slots * products + trees + c.accumulator_bits), dtype=np.float64)
