"""One resource of many NPUs: the sum of its blocks, and a correction learned on whole designs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.cost.area.blocks import BLOCKS
from codesign.cost.regressors import (
    FactorRegressor,
    Floats,
    Ints,
    ProcessRegressor,
    cross_predict,
    one_thread,
)
from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig

_LOGARITHMIC = (
    "pixels", "lanes", "columns", "weight_digit_bits", "activation_bits", "accumulator_bits",
    "scale_bits", "post_units",
)  # fmt: skip
_FLAGS = {"depthwise_taps": 1, "memory_port_bits": 0, "multiplier": 0, "sparsity": 0}
"""Options, and their default."""


@dataclass(frozen=True, eq=False)
class Features:
    """What the models see of n configurations."""

    sizes: Floats
    """[n, columns] of all blocks side by side."""
    shape: Floats
    """[n, knobs]: logarithms of the numbers, 0 or 1 for options."""

    @classmethod
    def of(cls, table: ConfigTable) -> Features:
        columns = [column for block in BLOCKS for column in block.sizes(table).values()]
        sizes = np.empty((len(table), len(columns)), order="F")  # written column by column
        for index, column in enumerate(columns):
            sizes[:, index] = column
        logs = np.log([getattr(table, knob) for knob in _LOGARITHMIC])
        flags = [getattr(table, knob) != default for knob, default in _FLAGS.items()]
        return cls(sizes, np.vstack([logs, flags]).T)

    def take(self, rows: Ints) -> Features:
        return Features(self.sizes[rows], self.shape[rows])


_ONE = ConfigTable.of([NpuConfig()])
SIZE_NAMES = {block.name: tuple(block.sizes(_ONE)) for block in BLOCKS}
"""Block -> its sizes, in the order of the columns."""


def block_columns() -> dict[str, slice]:
    """Block -> where its sizes stand among the columns."""
    found, start = {}, 0
    for name, sizes in SIZE_NAMES.items():
        found[name] = slice(start, start + len(sizes))
        start += len(sizes)
    return found


def priors(resource: str) -> Floats:
    """[columns] factors by structure alone: the analytic model."""
    return np.array(
        [
            block.prior(resource).get(size, 0.0)
            for block in BLOCKS
            for size in SIZE_NAMES[block.name]
        ]
    )


def analytic(table: ConfigTable, resource: str) -> Floats:
    """[n] estimates without any data."""
    found: Floats = Features.of(table).sizes @ priors(resource)
    return found


@dataclass(frozen=True, eq=False)
class Measured:
    """What synthesis found of one resource in n NPUs."""

    totals: Floats
    by_block: Mapping[str, Floats] | None
    """Block -> [n]; None where the data has whole NPUs alone."""

    def take(self, rows: Ints) -> Measured:
        blocks = self.by_block
        part = None if blocks is None else {name: values[rows] for name, values in blocks.items()}
        return Measured(self.totals[rows], part)


@dataclass(frozen=True, eq=False)
class ComposedModel:
    """``y = (sizes @ factors) * exp(correction(shape))``, with a deviation of log y."""

    factors: Floats
    correction: ProcessRegressor

    @classmethod
    def fit(
        cls,
        features: Features,
        measured: Measured,
        resource: str,
        like: ComposedModel | None = None,
    ) -> ComposedModel:
        """like: whose kernel the correction takes instead of choosing its own."""
        factors = _factors(features.sizes, measured, priors(resource))
        ratio = np.log(measured.totals / np.maximum(features.sizes @ factors, 1.0))
        chosen = (like.correction.length_, like.correction.noise_) if like else (None, None)
        process = ProcessRegressor(length=chosen[0], noise=chosen[1])
        return cls(factors, process.fit(features.shape, ratio))

    def predict(self, features: Features) -> tuple[Floats, Floats]:
        """[n] estimates, and [n] standard deviations of their logarithms."""
        with one_thread():
            ratio, deviation = self.correction.moments(features.shape)
            return np.maximum(features.sizes @ self.factors, 1.0) * np.exp(ratio), deviation

    def cross_predict(
        self,
        features: Features,
        measured: Measured,
        resource: str,
        groups: Ints,
        seed: int = 0,
    ) -> tuple[Floats, Floats]:
        """As ``predict``, each row by a model that saw none of its group; seed: of the folds."""

        def fit_and_predict(train: Ints, test: Ints) -> tuple[Floats, Floats]:
            part = self.fit(features.take(train), measured.take(train), resource, like=self)
            return part.predict(features.take(test))

        return cross_predict(fit_and_predict, groups, seed)


def _factors(sizes: Floats, measured: Measured, drawn_to: Floats) -> Floats:
    """Factors of all columns, block by block where the data has blocks."""
    weight = measured.totals**-2.0

    def fit(columns: slice, y: Floats) -> Floats:
        regressor = FactorRegressor(drawn_to[columns].tolist())
        found: Floats = regressor.fit(sizes[:, columns], y, sample_weight=weight).factors_
        return found

    if measured.by_block is None:
        return fit(slice(None), measured.totals)
    places = block_columns()
    return np.concatenate([fit(places[name], measured.by_block[name]) for name in SIZE_NAMES])


def by_block(modules: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    """Block -> [n] from one mapping (module -> resource) an NPU."""
    found = {block.name: np.zeros(len(modules)) for block in BLOCKS}
    owners: dict[str, str] = {}
    for row, counts in enumerate(modules):
        for module, count in counts.items():
            if module not in owners:
                owners[module] = owner(module)
            found[owners[module]][row] += count
    return found


def owner(module: str) -> str:
    """The block that a Verilog module belongs to: the one with the longest matching name."""
    fits = [
        (len(start), block.name)
        for block in BLOCKS
        for start in block.modules
        if module.startswith(start)
    ]
    return max(fits)[1]
