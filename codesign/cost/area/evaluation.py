"""How far the area model can be trusted: errors on configurations that it was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.stats import kendalltau

from codesign.cost.area.composed import ComposedModel, Features, Measured
from codesign.cost.area.model import COVERAGE, Learned, families_of, measurements
from codesign.cost.data.dataset import Row
from codesign.cost.data.module_data import ModuleRow
from codesign.cost.regressors import Floats, Ints, grouped
from codesign.cost.table import ConfigTable

Splits = Iterator[tuple[Ints, Ints]]
Predictor = Callable[[Ints, Ints], Floats]
"""Estimates of the second rows by what it learns from the first ones."""


def errors(estimates: Floats, truth: Floats) -> dict[str, float]:
    """mape and p90 (relative), r2, and tau (Kendall's rank correlation)."""
    error = np.abs(estimates / truth - 1)
    spread = np.sum((truth - truth.mean()) ** 2)
    return {
        "rows": float(len(truth)),
        "mape": float(error.mean()),
        "p90": float(np.quantile(error, 0.9)),
        "r2": float(1 - np.sum((estimates - truth) ** 2) / spread) if spread else 0.0,
        "tau": float(kendalltau(estimates, truth).statistic),
    }


def each_value(values: Ints) -> Splits:
    """Splits that leave all rows of one value out."""
    for value in np.unique(values):
        out = values == value
        yield np.flatnonzero(~out), np.flatnonzero(out)


def predicted(splits: Splits, predictor: Predictor, rows: int) -> Floats:
    """[rows] estimates by models that did not see the row; NaN for rows that no split leaves
    out."""
    found = np.full(rows, np.nan)
    for train, test in splits:
        found[test] = predictor(train, test)
    return found


class Trial:
    """The rows of a data set, ready to be split. Raises UserError as AreaModel.fit."""

    def __init__(self, rows: Sequence[Row], modules: Sequence[ModuleRow], resource: str) -> None:
        self.table = ConfigTable.of([row.config for row in rows])
        self.features = Features.of(self.table)
        self.groups = families_of(self.table)
        self.measured: Measured = measurements(rows, modules, resource)
        self.resource = resource
        self.whole = ComposedModel.fit(self.features, self.measured, resource)

    def composed(self, train: Ints, test: Ints) -> Floats:
        """The shipped kind of model."""
        return self._fit(train).predict(self.features.take(test))[0]

    def _fit(self, train: Ints) -> ComposedModel:
        return ComposedModel.fit(
            self.features.take(train), self.measured.take(train), self.resource, like=self.whole
        )

    def errors(self, splits: Splits) -> dict[str, float]:
        """Of the composed model over all rows that the splits leave out."""
        found = predicted(splits, self.composed, len(self.groups))
        seen = np.isfinite(found)
        return errors(found[seen], self.measured.totals[seen])

    def intervals(self, seed: int) -> Iterator[tuple[Ints, Floats, Floats, Learned]]:
        """For each grouped split: the rows left out, their estimates and deviations, and what was
        learned (with its own calibration) of the others."""
        for train, test in grouped(self.groups, seed):
            features, measured = self.features.take(train), self.measured.take(train)
            model = self._fit(train)
            middle, deviation = model.cross_predict(
                features, measured, self.resource, self.groups[train], seed
            )
            scores = np.sort(np.log(measured.totals / middle) / deviation)
            estimates, spread = model.predict(self.features.take(test))
            yield test, estimates, spread, Learned(model, scores)

    def coverage(self, seed: int) -> dict[str, float]:
        """Share of unseen rows inside their 90 % interval; its mean width over the value."""
        inside, width = [], []
        for test, middle, deviation, learned in self.intervals(seed):
            half = learned.factor(COVERAGE) * deviation
            inside.append(np.abs(np.log(self.measured.totals[test] / middle)) <= half)
            width.append(np.exp(half) - np.exp(-half))
        return {
            "coverage": float(np.concatenate(inside).mean()),
            "width": float(np.concatenate(width).mean()),
        }

    def decisions(
        self, seed: int, budgets: Sequence[float], confidences: Sequence[float], near: float = 0.1
    ) -> Iterator[dict[str, float]]:
        """How a budget test goes wrong on unseen rows within ``near`` of it.

        Rows that close to one budget are few, so budgets of up to a fifth more and less are
        tested, too, and the rates are over all of them.
        """
        found = list(self.intervals(seed))
        truth = np.concatenate([self.measured.totals[test] for test, *_ in found])
        for confidence in confidences:
            upper = np.concatenate(
                [
                    middle * np.exp(one.upper_quantile(confidence) * spread)
                    for _, middle, spread, one in found
                ]
            )
            for budget in budgets:
                limits = budget * np.geomspace(1 / 1.2, 1.2, 21)[:, None]
                close = np.abs(truth / limits - 1) <= near
                feasible, kept = close & (truth <= limits), upper <= limits
                yield {
                    "confidence": confidence,
                    "budget": budget,
                    "decisions": float(close.sum()),
                    "false_prune": float((feasible & ~kept).sum() / max(feasible.sum(), 1)),
                    "false_keep": float(
                        (close & ~feasible & kept).sum() / max((close & ~feasible).sum(), 1)
                    ),
                }


def cross_errors(
    rows: Sequence[Row], modules: Sequence[ModuleRow], resource: str, seed: int = 0
) -> dict[str, float]:
    """Errors on families that were not seen: lanes, bits, digit, multiplier or sparsity differ."""
    trial = Trial(rows, modules, resource)
    return trial.errors(grouped(trial.groups, seed))
