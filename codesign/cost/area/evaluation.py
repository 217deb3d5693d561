"""Cross-validated errors of the area model: on configurations that it was not fitted to."""

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
"""Cross-validation splits: (training rows, test rows)."""
Predictor = Callable[[Ints, Ints], Floats]
"""Function of (training rows, test rows) that returns estimates of the test rows."""


def errors(estimates: Floats, truth: Floats) -> dict[str, float]:
    """Return the error figures of estimates of ``truth`` (none 0), both of shape (rows,), by name.

    rows (their number), mape and p90 (mean and 90 % quantile of the relative error, as fractions),
    r2 (coefficient of determination; 0 if all truths are equal), tau (Kendall's rank correlation;
    NaN if all truths or all estimates are equal).
    """
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
    """Yield one split per distinct value: its test rows have that value, training rows do not.

    values: shape (rows,), int64.
    """
    for value in np.unique(values):
        out = values == value
        yield np.flatnonzero(~out), np.flatnonzero(out)


def predicted(splits: Splits, predictor: Predictor, rows: int) -> Floats:
    """Return out-of-sample estimates, shape (rows,); NaN for rows in no split's test rows.

    Of a row in several, the last split counts. rows: number of all rows.
    """
    found = np.full(rows, np.nan)
    for train, test in splits:
        found[test] = predictor(train, test)
    return found


class Trial:
    """Cross-validation of the area model of one resource on a data set.

    ``groups`` are the families of the NPUs (model.families_of), shape (rows,). All fits take the
    kernel hyperparameters of one to all rows, ``whole``. Intervals and bounds are not widened
    outside the data (AreaModel.estimate). Raises UserError when ``modules`` do not add up to
    ``rows``, ValueError for a module of no block.

    >>> from codesign.cost.data import dataset
    >>> trial = Trial(dataset.read()[:40], [], "luts")
    >>> trial.errors(each_value(trial.groups))["mape"] < 0.05
    True
    """

    def __init__(self, rows: Sequence[Row], modules: Sequence[ModuleRow], resource: str) -> None:
        self.table = ConfigTable.of([row.config for row in rows])
        self.features = Features.of(self.table)
        self.groups = families_of(self.table)
        self.measured: Measured = measurements(rows, modules, resource)
        self.resource = resource
        self.whole = ComposedModel.fit(self.features, self.measured, resource)

    def composed(self, train: Ints, test: Ints) -> Floats:
        """Return estimates of the test rows by a model fitted to the training rows.

        train, test: row numbers; the result has the shape of ``test``.
        """
        return self._fit(train).predict(self.features.take(test))[0]

    def _fit(self, train: Ints) -> ComposedModel:
        return ComposedModel.fit(
            self.features.take(train), self.measured.take(train), self.resource, like=self.whole
        )

    def errors(self, splits: Splits) -> dict[str, float]:
        """Return the figures of the function ``errors`` over the test rows of all splits.

        Each row is estimated by the model fitted to its split's training rows.
        """
        found = predicted(splits, self.composed, len(self.groups))
        seen = np.isfinite(found)
        return errors(found[seen], self.measured.totals[seen])

    def intervals(self, seed: int) -> Iterator[tuple[Ints, Floats, Floats, Learned]]:
        """Yield for each grouped split: (test rows, estimates, deviations, fitted model).

        Estimates and deviations are those of the test rows; deviations are the predicted standard
        deviations of the logarithms. The conformal scores of the model are cross-validated within
        its training rows. seed: shuffles the splits.
        """
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
        """Return coverage and width of the 90 % intervals of unseen rows.

        coverage: fraction of the rows inside; width: mean of (upper - lower end) / estimate.
        """
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
        """Yield the error rates of the budget test on unseen rows within ``near`` of the budget.

        false_prune is the fraction of feasible NPUs rejected, false_keep that of infeasible NPUs
        accepted. Few rows lie so close to one budget, so the rates are over 21 budgets from 1/1.2
        to 1.2 times the one given. near: greatest |amount / budget - 1|. An NPU is accepted if its
        upper bound is at most the budget. One item per confidence and budget (in units of the
        resource), with both; ``decisions`` in it is the number of (row, budget) pairs. A rate over
        no NPUs is 0.
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
    """Return the figures of ``errors`` for NPUs of unseen families, by grouped cross-validation.

    NPUs of different families differ in lanes, activation bits, digit bits, multiplier or sparsity.
    """
    trial = Trial(rows, modules, resource)
    return trial.errors(grouped(trial.groups, seed))
