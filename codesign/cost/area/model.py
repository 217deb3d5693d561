"""AreaModel: LUTs, LUTRAM, flip-flops, block RAMs and DSP slices of a batch of NPUs.

LUTs, LUTRAM and flip-flops are estimated by regression on synthesis results
(codesign.cost.area.composed), with conformal prediction intervals; block RAMs and DSP slices are
counted. Fitting takes some seconds, so codesign.cost.area.model_file caches the fitted model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from codesign.cost.area import dsps
from codesign.cost.area.blocks import RESOURCES, memory_counts
from codesign.cost.area.composed import ComposedModel, Features, Measured, by_block
from codesign.cost.data import config_csv
from codesign.cost.data.dataset import Row
from codesign.cost.data.module_data import ModuleRow
from codesign.cost.domain import Domain
from codesign.cost.regressors import FEWEST_ROWS, conformal_quantile
from codesign.cost.table import ConfigTable
from codesign.fpga import families
from codesign.results import AREA_CONFIDENCE, UserError
from models.threads import one_thread
from rtl_gen.config import NpuConfig

Floats = NDArray[np.float64]
COVERAGE = 0.9
"""Coverage of the two-sided prediction intervals: the fraction of unseen configurations whose
synthesised area lies inside."""
MOST = float(np.log(10))
"""Largest half width of an interval of the log area, a factor of ten: counts follow the blocks'
structure even far outside the data, where the widening alone would grow without limit."""


FAMILY_RATIOS: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    families.XC7.name: {},
    families.ECP5.name: {
        "luts": (1.79, 2.22, 2.37),
        "lutrams": (1.01, 2.60, 3.83),
        "ffs": (1.06, 1.21, 1.29),
    },
}
"""FPGA family -> resource -> (smallest, median, largest) ratio to the count on xc7.

Measured on ten NPUs of the data set (1,675 to 11,818 LUTs), 2026-11-24, pyosys 0.70. ECP5 has
LUT4s, takes two LUT sites per carry bit, and has no LUT shift registers: these become flip-flops.
"""


@dataclass(frozen=True, eq=False)
class AreaEstimate:
    """Estimated area of n NPUs, float arrays of shape (n,). Made by ``AreaModel.estimate``."""

    luts: Floats
    lutrams: Floats
    ffs: Floats
    brams: Floats
    dsps: Floats
    dsps_by_family: Mapping[str, Floats]
    """FPGA family -> DSP slices; ``dsps`` are those of xc7 or, after ``on``, of its family."""
    low: Mapping[str, Floats]
    """"luts", "lutrams", "ffs" -> lower end of the conformal prediction interval, at COVERAGE."""
    high: Mapping[str, Floats]
    """Upper end of that interval, by the same keys."""
    bound: Mapping[str, Floats]
    """One-sided upper confidence bound, which budgets are tested with, by the same keys."""

    def on(self, family: str) -> AreaEstimate:
        """Return this estimate, made for xc7, for another FPGA family (a key of FAMILY_RATIOS).

        LUTs, LUTRAM and flip-flops take the median ratio, their interval ends and bounds the
        extremes. DSP slices are counted for the family, block RAMs stay those of xc7.
        """
        ratios = FAMILY_RATIOS[family]
        if not ratios:
            return self
        return dataclasses.replace(
            self,
            **{name: getattr(self, name) * middle for name, (_, middle, _) in ratios.items()},
            dsps=self.dsps_by_family[family],
            low={name: self.low[name] * least for name, (least, _, _) in ratios.items()},
            high={name: self.high[name] * most for name, (_, _, most) in ratios.items()},
            bound={name: self.bound[name] * most for name, (_, _, most) in ratios.items()},
        )


@dataclass(frozen=True, eq=False)
class Learned:
    """Fitted model of one resource with its conformal scores. Made by ``AreaModel.fit``."""

    model: ComposedModel
    errors: Floats
    """Sorted conformal scores, shape (rows,): log(measured / estimate) over its predicted standard
    deviation, of each row by a model fitted without its family."""

    def factor(self, coverage: float) -> float:
        """Return the half width of the two-sided interval of log y, in standard deviations.

        coverage: fraction of unseen NPUs that lie inside. Infinite if there are too few scores.
        """
        return conformal_quantile(np.abs(self.errors), coverage)

    def upper_quantile(self, share: float) -> float:
        """Return the score that ``share`` of unseen NPUs do not exceed, in standard deviations.

        share: a fraction, above 0 and up to 1. Infinite if there are too few scores.
        """
        return conformal_quantile(self.errors, share)


@dataclass(frozen=True)
class Calibration:
    """Log-normal correction of a resource for another synthesis flow.

    >>> flow = Calibration(factor=1.1, deviation=0.02, points=4)  # 10 % more, from four designs
    >>> round(flow.half(coverage=0.9), 3)
    0.053
    """

    factor: float
    """Geometric mean, over designs, of that flow's count over the reference flow's estimate."""
    deviation: float
    """Standard deviation, over designs, of the natural logarithm of that ratio."""
    points: int
    """Number of designs; 0 for the reference flow itself."""

    def half(self, coverage: float) -> float:
        """Return the half width of the prediction interval of one further design's log ratio.

        coverage: probability that it lies inside. By Student's t distribution; 0 for fewer than two
        designs.
        """
        if self.points < 2:
            return 0.0
        spread = self.deviation * (1 + 1 / self.points) ** 0.5
        return float(stats.t.ppf(0.5 + coverage / 2, self.points - 1)) * spread


AS_MEASURED = Calibration(1.0, 0.0, 0)
"""No correction: the reference flow, which the data set was synthesised with."""


@dataclass(frozen=True, eq=False)
class AreaModel:
    """Area model of whole NPUs, fitted to synthesis results.

    ``codesign.cost.area.model_file.load`` gives that of the shipped data set.

    >>> from codesign.cost.data import dataset
    >>> model = AreaModel.fit(dataset.read()[:40])
    >>> area = model.estimate(ConfigTable.of([NpuConfig()]), confidence=0.9)
    >>> bool(area.low["luts"][0] < area.luts[0] < area.bound["luts"][0])
    True
    """

    learned: Mapping[str, Learned]
    """Resource -> fitted model."""
    domain: Domain
    rows: int
    """Number of NPUs that it was fitted to."""
    flow: Mapping[str, Calibration] = dataclasses.field(default_factory=dict)
    """Resource -> correction for the user's own synthesis flow (codesign.cost.calibration); none
    for a resource that is missing."""

    @classmethod
    def fit(cls, rows: Sequence[Row], modules: Sequence[ModuleRow] = ()) -> AreaModel:
        """Fit the model to synthesised NPUs and, if given, their Verilog modules.

        Factors are fitted block by block if ``modules`` covers all ``rows``, else to the totals.
        Of rows by several tool versions only those of one are used (config_csv.of_one_tool).

        Raises UserError for fewer than FEWEST_ROWS, for rows of one family alone (``families_of``),
        or when modules and rows do not add up; ValueError when a module is of no block, or an NPU
        has none of one of RESOURCES.
        """
        rows = config_csv.of_one_tool(rows)
        if len(rows) < FEWEST_ROWS:
            raise UserError(
                f"the synthesis data has {len(rows)} rows, the area model needs {FEWEST_ROWS}; "
                "run codesign characterize"
            )
        configs = [row.config for row in rows]
        table = ConfigTable.of(configs)
        features, groups = Features.of(table), families_of(table)
        if len(np.unique(groups)) < 2:
            raise UserError(
                "all rows of the synthesis data have the same lanes, activation bits, digit bits, "
                "multiplier and sparsity; the area model needs two kinds of dot products at least"
            )
        learned = {}
        for name in RESOURCES:
            measured = measurements(rows, modules, name)
            model = ComposedModel.fit(features, measured, name)
            middle, deviation = model.cross_predict(features, measured, name, groups)
            learned[name] = Learned(model, np.sort(np.log(measured.totals / middle) / deviation))
        return cls(learned, Domain.of(configs), len(rows))

    def estimate(self, table: ConfigTable, confidence: float = AREA_CONFIDENCE) -> AreaEstimate:
        """Estimate all resources of all configurations of ``table``.

        confidence: one-sided confidence level of ``bound``. Ends of intervals, and bounds, of
        configurations outside the range of the data are further from the estimate
        (Domain.widening), up to MOST. ``flow`` corrects neither block RAMs nor DSP slices.
        """
        features, wider = Features.of(table), self.domain.widening(table)
        middle, low, high, bounds = {}, {}, {}, {}
        with one_thread():
            predicted = {n: one.model.predict(features) for n, one in self.learned.items()}
        for name, learned in self.learned.items():
            flow = self.flow.get(name, AS_MEASURED)
            middle[name], deviation = predicted[name]
            middle[name] = middle[name] * flow.factor
            half = np.hypot(learned.factor(COVERAGE) * deviation * wider, flow.half(COVERAGE))
            half = np.minimum(half, MOST)
            low[name], high[name] = middle[name] * np.exp(-half), middle[name] * np.exp(half)
            bound = learned.upper_quantile(confidence) * deviation * wider
            scatter = flow.half(2 * confidence - 1)  # the scatter never lowers the bound
            bound = np.hypot(np.maximum(bound, 0), scatter) + np.minimum(bound, 0)
            bounds[name] = middle[name] * np.exp(np.clip(bound, -MOST, MOST))
        return AreaEstimate(
            **middle,
            brams=memory_counts(table).brams,
            dsps=dsps.dsp_count(table),
            dsps_by_family={name: dsps.dsp_count(table, name) for name in FAMILY_RATIOS},
            low=low,
            high=high,
            bound=bounds,
        )

    def flow_factor(self, resource: str) -> float:
        """Return a resource's factor of the user's flow over the reference flow; 1 if not known."""
        return self.flow.get(resource, AS_MEASURED).factor

    def outside(self, config: NpuConfig) -> str | None:
        """Return a message naming the values of ``config`` outside the data; None if none is."""
        beyond = self.domain.outside(config)
        if not beyond:
            return None
        return f"the synthesis data has no NPU like this: {'; '.join(beyond)}; intervals are wider"


def measurements(rows: Sequence[Row], modules: Sequence[ModuleRow], resource: str) -> Measured:
    """Return the amounts of one resource in synthesised NPUs, one of RESOURCES.

    They are given by block, too, if ``modules`` has some for each of ``rows``. Raises UserError
    when the modules of an NPU do not add up to its row, ValueError for a module of no block.
    """
    totals = np.array([getattr(row, resource) for row in rows])
    by_hash: dict[str, dict[str, float]] = {}
    for module in modules:
        by_hash.setdefault(module.config_hash, {})[module.module] = getattr(module, resource)
    hashes = [config_csv.short_hash(row.config) for row in rows]
    if not all(key in by_hash for key in hashes):
        return Measured(totals, None)
    for key, total in zip(hashes, totals, strict=True):
        if abs(sum(by_hash[key].values()) - total) > 0.01:
            raise UserError(
                f"the modules of configuration {key} have {sum(by_hash[key].values()):g} "
                f"{resource}, the NPU {total:g}: they are of different runs"
            )
    return Measured(totals, by_block([by_hash[key] for key in hashes]))


def families_of(table: ConfigTable) -> NDArray[np.int64]:
    """Return the family label of each NPU, shape (n,): the group in cross-validation.

    NPUs of a family have the same lanes, activation bits, digit bits, multiplier form and sparsity,
    and so the same dot products. Labels have no further meaning.
    """
    forms = table.multiplier * 8 + table.sparsity
    return ((table.lanes * 16 + table.activation_bits) * 16 + table.weight_digit_bits) * 64 + forms
