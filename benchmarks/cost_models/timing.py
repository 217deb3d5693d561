"""Errors of the timing model and of simpler models on the same splits (benchmarks.cost_models)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from codesign.cost.area.evaluation import Predictor, errors, predicted
from codesign.cost.area.model import COVERAGE, families_of
from codesign.cost.data.timing_data import TimingRow
from codesign.cost.regressors import conformal_quantile, grouped
from codesign.cost.table import ConfigTable
from codesign.cost.timing import PeriodModel, TimingFeatures, periods_ns

Floats = NDArray[np.float64]
Median = Callable[[Sequence[Mapping[str, float]]], dict[str, float]]


class TimingTrial:
    """Rows of the place and route data, with features, clock periods and families."""

    def __init__(self, rows: Sequence[TimingRow]) -> None:
        table = ConfigTable.of([row.config for row in rows])
        self.features, self.groups = TimingFeatures.of(table), families_of(table)
        self.period, self.rows = periods_ns(rows), rows

    def predictors(self) -> dict[str, Predictor]:
        """Return models of the clock in MHz, by name."""
        columns = np.column_stack([self.features.sizes, self.features.shape])

        def fitted(model: RegressorMixin) -> Predictor:
            def predict(train: NDArray[np.int64], test: NDArray[np.int64]) -> Floats:
                model.fit(columns[train], self.period[train])
                return 1000 / np.asarray(model.predict(columns[test]))

            return predict

        boosted = HistGradientBoostingRegressor(max_iter=100, min_samples_leaf=5, random_state=0)
        return {
            "mean": fitted(DummyRegressor()),
            "linear": fitted(LinearRegression()),
            "boosted trees": fitted(boosted),
            "composed": self.composed,
        }

    def composed(self, train: NDArray[np.int64], test: NDArray[np.int64]) -> Floats:
        """Fit the shipped kind of model to ``train`` and return its clocks of ``test``, in MHz."""
        model = PeriodModel.fit(self.features.take(train), self.period[train])
        return 1000 / model.predict(self.features.take(test))[0]

    def coverage(self, seed: int) -> dict[str, float]:
        """Return the fraction of unseen rows inside their 90 % interval, and its relative width."""
        inside, width = [], []
        for train, test in grouped(self.groups, seed):
            part, period = self.features.take(train), self.period[train]
            model = PeriodModel.fit(part, period)
            factor = conformal_quantile(
                model.scores(part, period, self.groups[train], seed), COVERAGE
            )
            found, spread = model.predict(self.features.take(test))
            half = factor * spread
            inside.append(np.abs(np.log(self.period[test] / found)) <= half)
            width.append(np.exp(half) - np.exp(-half))
        return {
            "coverage": float(np.concatenate(inside).mean()),
            "width": float(np.concatenate(width).mean()),
        }


def rows(data: Sequence[TimingRow], seeds: int, median: Median) -> Iterator[dict[str, Any]]:
    """Yield all figures of the timing model, one object each."""
    trial = TimingTrial(data)
    truth = 1000 / trial.period
    for name, predictor in trial.predictors().items():
        runs = [
            errors(predicted(grouped(trial.groups, seed), predictor, len(data)), truth)
            for seed in range(seeds)
        ]
        yield {"figure": "fmax, unseen families", "model": name, **median(runs)}
    intervals = [trial.coverage(seed) for seed in range(seeds)]
    yield {"figure": "fmax, 90 % interval", "model": "composed", **median(intervals)}
    seconds = [row.seconds for row in data]
    yield {
        "figure": "place and route", "model": "nextpnr", "rows": len(data),
        "median_seconds": float(np.median(seconds)), "total_hours": sum(seconds) / 3600,
    }  # fmt: skip
