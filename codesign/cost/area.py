"""AreaModel: LUT, LUTRAM, FF, BRAM and DSP of many NPUs at once, learned from synthesis.

The model is refitted from the shipped data set when it is loaded (about a second): the data is
the model file, and nothing that could run code is stored.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from codesign import families
from codesign.cost import dataset, dsps, features, options
from codesign.cost.dataset import Row
from codesign.cost.regressors import BlockRegressor
from codesign.cost.table import ConfigTable
from codesign.results import UserError
from rtl_gen.config import OPTIONS, NpuConfig

Floats = NDArray[np.float64]
FEWEST_ROWS = 20
LEARNED = ("luts", "lutrams", "ffs")
_SHAPE = (
    "pixels", "lanes", "columns", "weight_digit_bits", "activation_bits", "accumulator_bits",
    "scale_bits", "post_units",
)  # fmt: skip


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
        )


class AreaModel:
    """Fitted on rows of the synthesis data set. Raises UserError for fewer than FEWEST_ROWS."""

    def __init__(self, rows: Sequence[Row]) -> None:
        if len(rows) < FEWEST_ROWS:
            raise UserError(
                f"the synthesis data has {len(rows)} rows, the area model needs {FEWEST_ROWS}; "
                "run python -m codesign.cost.characterize"
            )
        self.rows = tuple(rows)
        table = ConfigTable.of([row.config for row in rows])
        groups = _groups(table)
        self.regressors: dict[str, BlockRegressor] = {}
        for name in LEARNED:
            values = np.array([getattr(row, name) for row in rows])
            matrix, blocks = _matrix(name, table)
            self.regressors[name] = BlockRegressor(blocks).fit(matrix, values, groups)

    @classmethod
    def load(cls, path: Path = dataset.SHIPPED) -> AreaModel:
        """The model of a data set file; each file is fitted once a process. Raises UserError."""
        return _load(path)

    def estimate(self, table: ConfigTable) -> AreaEstimate:
        """All resources of all configurations of ``table``."""
        middle: dict[str, Floats] = {}
        low: dict[str, Floats] = {}
        high: dict[str, Floats] = {}
        more = options.added(table)
        for name, regressor in self.regressors.items():
            matrix, _ = _matrix(name, table)
            middle[name] = regressor.predict(matrix) + more[name]
            factor = np.exp(regressor.margin_)
            low[name], high[name] = middle[name] / factor, middle[name] * factor
        return AreaEstimate(
            **middle,
            brams=features.memory_counts(table).brams,
            dsps=dsps.dsp_count(table),
            dsps_by_family={name: dsps.dsp_count(table, name) for name in FAMILY_RATIOS},
            low=low,
            high=high,
        )

    def outside(self, config: NpuConfig) -> str | None:
        """Why the intervals say nothing about ``config``; None where they do."""
        unknown = [
            f"{name} {getattr(config, name)}"
            for name in (*OPTIONS, "multiplier")
            if all(getattr(row.config, name) != getattr(config, name) for row in self.rows)
        ]
        if not unknown:
            return None
        return (
            f"the synthesis data has no NPU of {' and '.join(unknown)}: area is counted from its "
            "structure, intervals are those of NPUs without"
        )

    def report(self) -> dict[str, dict[str, float]]:
        """Errors on configurations of unseen (lanes, bits, digit) families, by resource.

        ``mape`` and ``p90`` are relative, ``tau`` is Kendall's rank correlation, ``margin`` the
        half width of the 90 % interval, ``exact`` the share of rows that are right.
        """
        table = ConfigTable.of([row.config for row in self.rows])
        found = {name: self._learned_errors(name, table) for name in LEARNED}
        counted = {
            "brams": features.memory_counts(table).brams, "dsps": dsps.dsp_count(table)
        }  # fmt: skip
        for name, estimate in counted.items():
            values = np.array([getattr(row, name) for row in self.rows])
            found[name] = {
                "exact": float(np.mean(estimate == values)),
                "mean_error": float(np.mean(np.abs(estimate - values))),
            }
        return found

    def _learned_errors(self, name: str, table: ConfigTable) -> dict[str, float]:
        values = np.array([getattr(row, name) for row in self.rows])
        matrix, _ = _matrix(name, table)
        regressor = self.regressors[name]
        unseen = regressor.cross_predict(matrix, values, _groups(table))
        error = np.abs(unseen / values - 1)
        spread = np.sum((values - values.mean()) ** 2)
        return {
            "rows": float(len(values)),
            "mape": float(error.mean()),
            "p90": float(np.quantile(error, 0.9)),
            "r2": float(1 - np.sum((unseen - values) ** 2) / spread),
            "tau": float(kendalltau(unseen, values).statistic),
            "margin": float(np.expm1(regressor.margin_)),
        }


@functools.lru_cache(maxsize=4)
def _load(path: Path) -> AreaModel:
    return AreaModel(dataset.read(path))


def _groups(table: ConfigTable) -> NDArray[np.int64]:
    """One label a family: the array's cells are the same hardware within it."""
    digits = table.weight_digit_bits * 2 + table.dsp
    return (table.lanes * 16 + table.activation_bits) * 32 + digits


def _matrix(name: str, table: ConfigTable) -> tuple[Floats, int]:
    """Block counts, then shape columns; and how many are block counts."""
    if name == "lutrams":
        blocks: Mapping[str, Floats] = {
            "memories": features.memory_counts(table).lutrams,
            **features.delay_blocks(table),
        }
    else:
        blocks = features.lut_blocks(table) if name == "luts" else features.ff_blocks(table)
    shape = [np.log(getattr(table, knob)) for knob in _SHAPE]
    return np.column_stack([*blocks.values(), *shape, table.dsp]), len(blocks)


def estimate_one(config: NpuConfig) -> AreaEstimate:
    """The shipped model on one configuration: arrays of length 1."""
    return AreaModel.load().estimate(ConfigTable.of([config]))
