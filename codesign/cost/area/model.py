"""AreaModel: LUT, LUTRAM, FF, BRAM and DSP of many NPUs at once, learned from synthesis.

Learned resources are composed of blocks (codesign.cost.area.composed); block RAMs and DSP slices
are counted. Fitting takes some seconds, so codesign.cost.area.model_file keeps the fitted model.
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
from rtl_gen.config import NpuConfig

Floats = NDArray[np.float64]
COVERAGE = 0.9
"""Share of unseen configurations that an interval holds."""


FAMILY_RATIOS: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    families.XC7.name: {},
    families.ECP5.name: {
        "luts": (1.79, 2.22, 2.37),
        "lutrams": (1.01, 2.60, 3.83),
        "ffs": (1.06, 1.21, 1.29),
    },
}
"""What the learned resources of an NPU come to in another family, over their xc7 count: least,
median and most of ten NPUs of the data set (1,675 to 11,818 LUTs), 2026-11-24, pyosys 0.70. ECP5
has LUT4s, two sites a carry bit, and no shift registers: those become flip-flops."""


@dataclass(frozen=True, eq=False)
class AreaEstimate:
    """[n] float arrays; ``low`` and ``high`` hold the interval ends of the learned resources."""

    luts: Floats
    lutrams: Floats
    ffs: Floats
    brams: Floats
    dsps: Floats
    dsps_by_family: Mapping[str, Floats]
    """``dsps`` is that of the reference family."""
    low: Mapping[str, Floats]
    high: Mapping[str, Floats]
    bound: Mapping[str, Floats]
    """One-sided upper bounds, at the confidence asked for: what the budget is tested with."""

    def on(self, family: str) -> AreaEstimate:
        """The same NPUs in another family, with wider intervals."""
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
    """The model of one resource, and how far unseen configurations were from it."""

    model: ComposedModel
    errors: Floats
    """[rows] log(measured / estimate) of each row by models that saw none of its family, in
    deviations of the estimate; sorted."""

    def factor(self, coverage: float) -> float:
        """Half width of the interval of log y, in deviations."""
        return conformal_quantile(np.abs(self.errors), coverage)

    def upper_quantile(self, share: float) -> float:
        """One-sided bound that ``share`` of unseen log ratios do not exceed, in deviations."""
        return conformal_quantile(self.errors, share)


@dataclass(frozen=True)
class Calibration:
    """What another flow makes of a resource: ``factor`` times the reference's, more or less."""

    factor: float
    deviation: float
    """Of the logarithm of that factor from design to design."""
    points: int
    """Designs that it was seen on; 0: it is not another flow."""

    def half(self, coverage: float) -> float:
        """Half width of the interval of one further design's log factor (Student's t)."""
        if self.points < 2:
            return 0.0
        spread = self.deviation * (1 + 1 / self.points) ** 0.5
        return float(stats.t.ppf(0.5 + coverage / 2, self.points - 1)) * spread


AS_MEASURED = Calibration(1.0, 0.0, 0)


@dataclass(frozen=True, eq=False)
class AreaModel:
    """See ``fit``, and codesign.cost.area.model_file.load for that of a data set."""

    learned: Mapping[str, Learned]
    domain: Domain
    rows: int
    """That it was fitted on."""
    flow: Mapping[str, Calibration] = dataclasses.field(default_factory=dict)
    """What the user's own flow makes of a resource (codesign.cost.calibration)."""

    @classmethod
    def fit(cls, rows: Sequence[Row], modules: Sequence[ModuleRow] = ()) -> AreaModel:
        """modules: of all ``rows`` for factors block by block; else they come from the totals.

        Of the rows of several versions of the tool those of one are taken (config_csv.of_one_tool).

        Raises UserError for fewer than FEWEST_ROWS, or when modules and rows do not add up.
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
        learned = {}
        for name in RESOURCES:
            measured = measurements(rows, modules, name)
            model = ComposedModel.fit(features, measured, name)
            middle, deviation = model.cross_predict(features, measured, name, groups)
            learned[name] = Learned(model, np.sort(np.log(measured.totals / middle) / deviation))
        return cls(learned, Domain.of(configs), len(rows))

    def estimate(self, table: ConfigTable, confidence: float = AREA_CONFIDENCE) -> AreaEstimate:
        """All resources of all configurations of ``table``.

        Intervals of configurations outside the domain are wider: see Domain.widening.
        """
        features, wider = Features.of(table), self.domain.widening(table)
        middle, low, high, bounds = {}, {}, {}, {}
        for name, learned in self.learned.items():
            flow = self.flow.get(name, AS_MEASURED)
            middle[name], deviation = learned.model.predict(features)
            middle[name] = middle[name] * flow.factor
            half = np.hypot(learned.factor(COVERAGE) * deviation * wider, flow.half(COVERAGE))
            low[name], high[name] = middle[name] * np.exp(-half), middle[name] * np.exp(half)
            bound = learned.upper_quantile(confidence) * deviation * wider
            scatter = flow.half(2 * confidence - 1)  # which never lowers the bound
            bound = np.hypot(np.maximum(bound, 0), scatter) + np.minimum(bound, 0)
            bounds[name] = middle[name] * np.exp(bound)
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
        """What the user's flow makes of one that Yosys counts."""
        return self.flow.get(resource, AS_MEASURED).factor

    def outside(self, config: NpuConfig) -> str | None:
        """Which values of ``config`` the data does not reach; None where it does."""
        beyond = self.domain.outside(config)
        if not beyond:
            return None
        return f"the synthesis data has no NPU like this: {'; '.join(beyond)}; intervals are wider"


def measurements(rows: Sequence[Row], modules: Sequence[ModuleRow], resource: str) -> Measured:
    """One resource of the rows, by block where ``modules`` has all of them. Raises UserError where
    they do not add up."""
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
    """One label a family: the array's cells are the same hardware within it."""
    forms = table.multiplier * 8 + table.sparsity
    return ((table.lanes * 16 + table.activation_bits) * 16 + table.weight_digit_bits) * 64 + forms
