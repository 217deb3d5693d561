"""TimingModel: the highest clock after place and route, by regression on placed NPUs.

The clock period is a sum of delays seen on critical paths (PRIORS) with non-negative factors, times
a Gaussian process correction over the parameters. The residual is mostly noise of the placer, see
docs/explanation/cost-models.md.
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
"""Feature of the clock period -> prior factor in ns per unit.

control: paths of the sequencer, 1 per NPU. wires: side of the area that the LUTs occupy, the square
root of the LUTs in thousands. multipliers: side of the area of the DSP multipliers, which compute a
product in one cycle and lie in rows across the die, the square root of their number. banks: levels
of multiplexers over the banks of activation memory, log2(pixels).
"""
MOST = float(np.log(2))
"""Largest half width of an interval of the log frequency, a factor of two: more than placed NPUs
differ from each other."""


@dataclass(frozen=True, eq=False)
class TimingFeatures:
    """Features of n configurations for the timing model.

    >>> TimingFeatures.of(ConfigTable.of([NpuConfig(), NpuConfig(pixels=4)])).sizes.shape
    (2, 4)
    """

    sizes: Floats
    """Features in the order of PRIORS, shape (n, 4)."""
    shape: Floats
    """Inputs of the Gaussian process, as in the area model, shape (n, parameters)."""
    luts: Floats
    """LUTs by the analytic area model, shape (n,)."""

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
    """Regression model of the period: ``(sizes @ factors) * exp(correction(shape))``.

    Made by ``TimingModel.fit``. Factors are >= 0: a larger NPU is never faster, except through the
    correction. The standard deviation of the Gaussian process is that of the log period.
    """

    factors: Floats
    correction: ProcessRegressor

    @classmethod
    def fit(
        cls, features: TimingFeatures, period_ns: Floats, like: PeriodModel | None = None
    ) -> PeriodModel:
        """Fit factors and correction to measured clock periods in ns, shape (n,), all above 0.

        like: model whose kernel hyperparameters (length scale, noise) the correction takes over
        instead of selecting them by marginal likelihood.
        """
        regressor = FactorRegressor(list(PRIORS.values()))
        factors = regressor.fit(features.sizes, period_ns, sample_weight=period_ns**-2).factors_
        chosen = (like.correction.length_, like.correction.noise_) if like else (None, None)
        process = ProcessRegressor(length=chosen[0], noise=chosen[1])
        ratio = np.log(period_ns / (features.sizes @ factors))
        return cls(factors, process.fit(features.shape, ratio))

    def predict(self, features: TimingFeatures) -> tuple[Floats, Floats]:
        """Return periods in ns and standard deviations of their natural logarithms, each (n,)."""
        ratio, deviation = self.correction.predict(features.shape, return_std=True)
        return features.sizes @ self.factors * np.exp(ratio), deviation

    def scores(
        self, features: TimingFeatures, period_ns: Floats, groups: Ints, seed: int = 0
    ) -> Floats:
        """Return sorted conformal scores, shape (n,): |log(measured / estimate)| / deviation.

        Each row is predicted by a model fitted without its group, but with the kernel
        hyperparameters of this one; ``seed`` shuffles the folds.
        """

        def fit_and_predict(train: Ints, test: Ints) -> tuple[Floats, Floats]:
            part = self.fit(features.take(train), period_ns[train], like=self)
            return part.predict(features.take(test))

        middle, deviation = cross_predict(fit_and_predict, groups, seed)
        return np.sort(np.abs(np.log(period_ns / middle)) / deviation)


@dataclass(frozen=True, eq=False)
class TimingEstimate:
    """Highest clock of n NPUs in MHz, and ends of its 90 % prediction interval, shape (n,).

    Made by ``TimingModel.estimate``.
    """

    fmax_mhz: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, eq=False)
class TimingModel:
    """Timing model for an ECP5 of the slowest speed grade (timing_data.DEVICE).

    >>> clock = TimingModel.load().estimate(ConfigTable.of([NpuConfig()]))
    >>> bool(clock.low[0] < clock.fmax_mhz[0] < clock.high[0])
    True
    """

    model: PeriodModel
    errors: Floats
    """Sorted conformal scores (PeriodModel.scores) of the placed NPUs, shape (rows,)."""
    domain: Domain
    largest: float
    """Analytic LUT count of the largest placed NPU."""

    @classmethod
    def fit(cls, rows: Sequence[TimingRow]) -> TimingModel:
        """Fit the model to placed NPUs.

        Of rows by several tool versions only those of one are used (config_csv.of_one_tool). Raises
        UserError if these are fewer than FEWEST_ROWS or of a single family (area.model.families_of:
        NPUs with the same dot products).
        """
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
        """Return the model of a timing data file, by default the shipped one.

        The models of the last four files are kept, so later changes of those are not seen. Raises
        UserError for a bad file or one with too few rows or families (``fit``).
        """
        return _load(path or timing_data.beside())

    @classmethod
    def of(cls, family: str) -> TimingModel:
        """Return the shipped model of an FPGA family. Raises ValueError where there is none."""
        if family not in families.TIMED:
            raise ValueError(f"no model estimates clocks of {family}: the budget needs clock_mhz")
        return cls.load()

    def estimate(self, table: ConfigTable) -> TimingEstimate:
        """Estimate the highest clock of all configurations of ``table``.

        Intervals widen outside the domain (Domain.widening) and, per factor of two, for NPUs larger
        than any that was placed; up to MOST.
        """
        features = TimingFeatures.of(table)
        period, deviation = self.model.predict(features)
        beyond = np.maximum(np.ceil(np.log2(features.luts / self.largest)), 0)
        wider = self.domain.widening(table) * OUTSIDE**beyond
        half = np.minimum(conformal_quantile(self.errors, COVERAGE) * deviation * wider, MOST)
        mhz = 1000 / period
        return TimingEstimate(mhz, mhz * np.exp(-half), mhz * np.exp(half))

    def safe_mhz(self, table: ConfigTable) -> Floats:
        """Return a clock that each NPU reaches with 95 % confidence, shape (n,).

        It is the lower end of the interval (``estimate``), in whole tenths of a MHz.
        """
        return np.floor(10 * self.estimate(table).low) / 10

    def outside(self, config: NpuConfig) -> str | None:
        """Return a message that names the values of ``config`` outside the data, or None.

        Among them is the LUT count by the analytic area model, if it exceeds ``largest``.
        """
        beyond = self.domain.outside(config)
        luts = float(TimingFeatures.of(ConfigTable.of([config])).luts[0])
        if luts > self.largest:
            beyond = [*beyond, f"about {luts:,.0f} LUTs (has up to {self.largest:,.0f})"]
        if not beyond:
            return None
        return f"no NPU like this was placed: {'; '.join(beyond)}; the interval is wider"


def periods_ns(rows: Sequence[TimingRow]) -> Floats:
    """Return the clock periods of the rows in ns, shape (n,)."""
    return 1000 / np.array([row.fmax_mhz for row in rows])


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> TimingModel:
    return TimingModel.fit(timing_data.read(path))
