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

from codesign.cost.area import dsps
from codesign.cost.area.composed import Features, priors
from codesign.cost.area.model import COVERAGE, families_of
from codesign.cost.data import config_csv, timing_data
from codesign.cost.data.timing_data import TimingRow
from codesign.cost.domain import OUTSIDE, Domain
from codesign.cost.regressors import (
    FEWEST_ROWS,
    FactorRegressor,
    Floats,
    Ints,
    ProcessRegressor,
    conformal_quantile,
    cross_predict,
)
from codesign.cost.table import ConfigTable
from codesign.fpga import families
from codesign.results import UserError
from rtl_gen.config import NpuConfig

PRIORS = {"control": 7.0, "wires": 0.5, "multipliers": 0.5, "banks": 0.2}
"""What a period is made of, and ns of one of each before anything is measured: the sequencer's
paths; the side of the area that the LUTs occupy, in thousands ** 0.5; that of the multipliers,
which make a product in one cycle and stand in rows across the die, in their number ** 0.5; and
levels that select among the banks of activation memory, log2(pixels)."""
MOST = float(np.log(2))
"""Half width of the widest interval, of the logarithm: no NPU that was placed is as far from the
others."""


@dataclass(frozen=True, eq=False)
class TimingFeatures:
    """What the model sees of n configurations."""

    sizes: Floats
    """[n, PRIORS]"""
    shape: Floats
    """[n, knobs], as the area model's correction."""
    luts: Floats
    """[n] analytic ones."""

    @classmethod
    def of(cls, table: ConfigTable) -> TimingFeatures:
        area = Features.of(table)
        luts = area.sizes @ priors("luts")
        columns = {
            "control": np.ones(len(table)),
            "wires": np.sqrt(luts / 1000),
            "multipliers": np.sqrt(dsps.dsp_count(table, families.ECP5.name)),
            "banks": np.log2(table.pixels),
        }
        sizes = np.column_stack([columns[name] for name in PRIORS])
        return cls(sizes, area.shape, luts)

    def take(self, rows: Ints) -> TimingFeatures:
        return TimingFeatures(self.sizes[rows], self.shape[rows], self.luts[rows])


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

    def scores(
        self, features: TimingFeatures, period_ns: Floats, groups: Ints, seed: int = 0
    ) -> Floats:
        """[n] |log(measured / estimate)| in deviations, each row by a model that saw none of its
        group; sorted. seed: of the folds."""

        def fit_and_predict(train: Ints, test: Ints) -> tuple[Floats, Floats]:
            part = self.fit(features.take(train), period_ns[train], like=self)
            return part.predict(features.take(test))

        middle, deviation = cross_predict(fit_and_predict, groups, seed)
        return np.sort(np.abs(np.log(period_ns / middle)) / deviation)


@dataclass(frozen=True, eq=False)
class TimingEstimate:
    """[n] clocks in MHz: the middle one and the ends of the 90 % interval."""

    fmax_mhz: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class TimingModel:
    """Of an ECP5 of the slowest speed grade (timing_data.DEVICE); see ``fit`` and ``load``."""

    model: PeriodModel
    errors: Floats
    """[rows] PeriodModel.scores of the rows."""
    domain: Domain
    largest: float
    """LUTs of the largest NPU that was placed, by its analytic count."""

    @classmethod
    def fit(cls, rows: Sequence[TimingRow]) -> TimingModel:
        """Of the rows of several flows those of one are taken. Raises UserError for too few."""
        rows = config_csv.of_one_tool(rows)
        configs = [row.config for row in rows]
        table = ConfigTable.of(configs)
        groups = families_of(table)
        if len(rows) < FEWEST_ROWS or len(np.unique(groups)) < 2:
            raise UserError(
                f"the timing data has {len(rows)} rows, the model needs {FEWEST_ROWS} of several "
                f"families; run codesign characterize --place {FEWEST_ROWS}"
            )
        features, period = TimingFeatures.of(table), periods_ns(rows)
        model = PeriodModel.fit(features, period)
        errors = model.scores(features, period, groups)
        return cls(model, errors, Domain.of(configs), float(features.luts.max()))

    @classmethod
    def load(cls, path: Path | None = None) -> TimingModel:
        """The model of a timing data file (default: the shipped one). Raises UserError."""
        return _load(path or timing_data.beside())

    def estimate(self, table: ConfigTable) -> TimingEstimate:
        """Intervals of configurations outside the domain are wider, as Domain.widening has it, and
        those of larger NPUs than were placed, per factor of two; up to MOST."""
        features = TimingFeatures.of(table)
        period, deviation = self.model.predict(features)
        beyond = np.maximum(np.ceil(np.log2(features.luts / self.largest)), 0)
        wider = self.domain.widening(table) * OUTSIDE**beyond
        half = np.minimum(conformal_quantile(self.errors, COVERAGE) * deviation * wider, MOST)
        mhz = 1000 / period
        return TimingEstimate(mhz, mhz * np.exp(-half), mhz * np.exp(half))

    def outside(self, config: NpuConfig) -> str | None:
        """Which values of ``config`` the data does not reach; None where it does."""
        beyond = self.domain.outside(config)
        luts = float(TimingFeatures.of(ConfigTable.of([config])).luts[0])
        if luts > self.largest:
            beyond = [*beyond, f"about {luts:,.0f} LUTs (has up to {self.largest:,.0f})"]
        if not beyond:
            return None
        return f"no NPU like this was placed: {'; '.join(beyond)}; the interval is wider"


def periods_ns(rows: Sequence[TimingRow]) -> Floats:
    """[n] of the rows."""
    return 1000 / np.array([row.fmax_mhz for row in rows])


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> TimingModel:
    return TimingModel.fit(timing_data.read(path))
