"""TimingModel: the clock that place and route finds, learned from placed NPUs.

The period is made of what the worst paths are seen to hold (PRIORS), with non-negative factors, and
a smooth correction over the knobs. What is left is mostly the placer's luck: docs/cost_models.md.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from codesign.cost.area.composed import FOLDS, Features, analytic
from codesign.cost.area.dsps import Packed
from codesign.cost.area.model import COVERAGE, families_of
from codesign.cost.data import config_csv, dataset, timing_data
from codesign.cost.data.timing_data import TimingRow
from codesign.cost.domain import Domain
from codesign.cost.regressors import FactorRegressor, Floats, ProcessRegressor, conformal_quantile
from codesign.cost.table import ConfigTable
from codesign.results import UserError
from rtl_gen.config import NpuConfig
from rtl_gen.packing import MULT18_BITS

Ints = NDArray[np.int64]
FEWEST_ROWS = 20


PRIORS = {
    "control": 7.0,
    "wires": 0.5,
    "banks": 0.2,
    "shared_products": 0.5,
    "wide_operands": 1.0,
}
"""What a period is made of, and ns of one of each before anything is measured: the sequencer's
paths; the side of the occupied area, in thousand LUTs ** 0.5; levels that select among the banks of
activation memory, log2(pixels); a product that a post unit or the array makes in one cycle; and one
of two 18-bit multipliers and their sum."""


@dataclass(frozen=True, eq=False)
class TimingFeatures:
    """What the model sees of n configurations."""

    sizes: Floats
    """[n, PRIORS]"""
    shape: Floats
    """[n, knobs], as the area model's correction."""

    @classmethod
    def of(cls, table: ConfigTable) -> TimingFeatures:
        packed = Packed.of(table)
        columns = [
            np.ones(len(table)),
            np.sqrt(analytic(table, "luts") / 1000),
            np.log2(table.pixels),
            packed.fields > 0,
            packed.wide_bits > MULT18_BITS,
        ]
        return cls(np.column_stack(columns).astype(np.float64), Features.of(table).shape)

    def take(self, rows: Ints) -> TimingFeatures:
        return TimingFeatures(self.sizes[rows], self.shape[rows])


@dataclass(frozen=True, eq=False)
class PeriodModel:
    """``period = (sizes @ factors) * exp(correction(shape))``, with a deviation of its log.

    Factors are not negative: a larger NPU is never faster, but for the correction.
    """

    factors: Floats
    correction: ProcessRegressor

    @classmethod
    def fit(
        cls, features: TimingFeatures, period_ns: Floats, like: PeriodModel | None = None
    ) -> PeriodModel:
        """like: whose kernel the correction takes instead of choosing its own."""
        regressor = FactorRegressor(list(PRIORS.values()))
        factors = regressor.fit(features.sizes, period_ns, sample_weight=period_ns**-2).factors_
        chosen = (like.correction.length_, like.correction.noise_) if like else (None, None)
        process = ProcessRegressor(length=chosen[0], noise=chosen[1])
        ratio = np.log(period_ns / (features.sizes @ factors))
        return cls(factors, process.fit(features.shape, ratio))

    def predict(self, features: TimingFeatures) -> tuple[Floats, Floats]:
        """[n] periods in ns, and [n] standard deviations of their logarithms."""
        ratio, deviation = self.correction.predict(features.shape, return_std=True)
        return features.sizes @ self.factors * np.exp(ratio), deviation

    def cross_predict(
        self, features: TimingFeatures, period_ns: Floats, groups: Ints, seed: int = 0
    ) -> tuple[Floats, Floats]:
        """As ``predict``, each row by a model that saw none of its group; seed: of the folds."""
        middle, deviation = np.zeros(len(groups)), np.zeros(len(groups))
        folds = min(FOLDS, len(np.unique(groups)))
        split = GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)
        for train, test in split:
            part = self.fit(features.take(train), period_ns[train], like=self)
            middle[test], deviation[test] = part.predict(features.take(test))
        return middle, deviation


@dataclass(frozen=True, eq=False)
class TimingEstimate:
    """[n] clocks in MHz: the middle one and the ends of the 90 % interval."""

    fmax_mhz: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class TimingModel:
    """See ``fit`` and ``load``: of an ECP5 of the slowest speed grade (timing_data.DEVICE)."""

    model: PeriodModel
    errors: Floats
    """[rows] |log(measured / estimate)| of unseen families, in deviations of the estimate."""
    domain: Domain

    @classmethod
    def fit(cls, rows: Sequence[TimingRow]) -> TimingModel:
        """Of the rows of several flows those of one are taken. Raises UserError for too few."""
        rows = config_csv.of_one_tool(rows)
        if len(rows) < FEWEST_ROWS:
            raise UserError(
                f"the timing data has {len(rows)} rows, the model needs {FEWEST_ROWS}; "
                "run codesign characterize --place"
            )
        configs = [row.config for row in rows]
        table, period = ConfigTable.of(configs), periods_ns(rows)
        features = TimingFeatures.of(table)
        model = PeriodModel.fit(features, period)
        middle, deviation = model.cross_predict(features, period, families_of(table))
        errors = np.abs(np.log(period / middle)) / deviation
        return cls(model, np.sort(errors), Domain.of(configs))

    @classmethod
    def load(cls, path: Path | None = None) -> TimingModel:
        """The model of a timing data file (default: the shipped one). Raises UserError."""
        return _load(path or timing_data.beside(dataset.SHIPPED))

    def estimate(self, table: ConfigTable) -> TimingEstimate:
        """Intervals of configurations outside the domain are wider: see Domain.widening."""
        period, deviation = self.model.predict(TimingFeatures.of(table))
        half = conformal_quantile(self.errors, COVERAGE) * deviation
        half = half * self.domain.widening(table)
        mhz = 1000 / period
        return TimingEstimate(mhz, mhz * np.exp(-half), mhz * np.exp(half))

    def outside(self, config: NpuConfig) -> str | None:
        """Which values of ``config`` the data does not reach; None where it does."""
        beyond = self.domain.outside(config)
        if not beyond:
            return None
        return f"the timing data has no NPU like this: {'; '.join(beyond)}; intervals are wider"


def periods_ns(rows: Sequence[TimingRow]) -> Floats:
    """[n] of the rows."""
    return 1000 / np.array([row.fmax_mhz for row in rows])


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> TimingModel:
    return TimingModel.fit(timing_data.read(path))
