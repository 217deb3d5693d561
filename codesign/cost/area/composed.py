"""Regression model of one resource: linear in the blocks' features, times a learned correction."""

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
)
from codesign.cost.table import ConfigTable
from models.threads import one_thread
from rtl_gen.config import NpuConfig

_LOGARITHMIC = (
    "pixels", "lanes", "columns", "weight_digit_bits", "activation_bits", "accumulator_bits",
    "scale_bits", "post_units",
)  # fmt: skip
"""Numeric parameters, which enter the correction by their natural logarithm."""
_FLAGS = {"depthwise_taps": 1, "memory_port_bits": 0, "multiplier": 0, "sparsity": 0}
"""Options and their defaults; an option enters the correction as 1 where it is used, else 0."""
SHAPE_NAMES = (*_LOGARITHMIC, *_FLAGS)
"""Parameters that enter the correction, in the order of the columns of Features.shape."""


@dataclass(frozen=True, eq=False)
class Features:
    """Features of n configurations for the linear model and for its correction.

    >>> npus = ConfigTable.of([NpuConfig(lanes=lanes, columns=16) for lanes in (4, 8, 16)])
    >>> features = Features.of(npus)
    >>> features.sizes.shape == (3, sum(map(len, SIZE_NAMES.values())))
    True
    >>> features.shape.shape
    (3, 12)
    """

    sizes: Floats
    """Features of all blocks side by side, shape (n, columns)."""
    shape: Floats
    """Inputs of the Gaussian process, shape (n, parameters): natural logarithms of the numeric
    parameters, then 0 / 1 for the options, in the order of _LOGARITHMIC and _FLAGS."""

    @classmethod
    def of(cls, table: ConfigTable) -> Features:
        columns = [column for block in BLOCKS for column in block.sizes(table).values()]
        sizes = np.empty((len(table), len(columns)), order="F")  # written column by column
        for index, column in enumerate(columns):
            sizes[:, index] = column
        logs = np.log([getattr(table, name) for name in _LOGARITHMIC])
        flags = [getattr(table, name) != default for name, default in _FLAGS.items()]
        return cls(sizes, np.vstack([logs, flags]).T)

    def take(self, rows: Ints) -> Features:
        return Features(self.sizes[rows], self.shape[rows])


_ONE = ConfigTable.of([NpuConfig()])
SIZE_NAMES = {block.name: tuple(block.sizes(_ONE)) for block in BLOCKS}
"""Block -> names of its features, in the order of the columns of Features.sizes."""


def block_columns() -> dict[str, slice]:
    """Return the columns of Features.sizes that belong to each block, by its name."""
    found, start = {}, 0
    for name, sizes in SIZE_NAMES.items():
        found[name] = slice(start, start + len(sizes))
        start += len(sizes)
    return found


def priors(resource: str) -> Floats:
    """Return the prior factors of the columns of Features.sizes, shape (columns,).

    They are the linear model without any data. resource: one of cost.area.blocks.RESOURCES.
    """
    return np.array(
        [
            block.prior(resource).get(size, 0.0)
            for block in BLOCKS
            for size in SIZE_NAMES[block.name]
        ]
    )


def analytic(table: ConfigTable, resource: str) -> Floats:
    """Return estimates of one resource by its prior factors alone, shape (n,).

    They need no data, and have no correction. resource: one of cost.area.blocks.RESOURCES.
    """
    found: Floats = Features.of(table).sizes @ priors(resource)
    return found


@dataclass(frozen=True, eq=False)
class Measured:
    """Synthesised amounts of one resource in n NPUs. Made by ``area.model.measurements``."""

    totals: Floats
    """Amounts of whole NPUs, shape (n,)."""
    by_block: Mapping[str, Floats] | None
    """Name of a block -> its amounts, shape (n,); None if the data has whole NPUs only."""

    def take(self, rows: Ints) -> Measured:
        blocks = self.by_block
        part = None if blocks is None else {name: values[rows] for name, values in blocks.items()}
        return Measured(self.totals[rows], part)


@dataclass(frozen=True, eq=False)
class ComposedModel:
    """Regression model of one resource: ``y = max(sizes @ factors, 1) * exp(correction(shape))``.

    The factors are fitted by non-negative least squares. The correction is a Gaussian process over
    the logarithm of measurement / linear estimate; its standard deviation is that of log y.

    >>> from codesign.cost.data import dataset
    >>> rows = dataset.read()[:40]
    >>> features = Features.of(ConfigTable.of([row.config for row in rows]))
    >>> luts = Measured(np.array([row.luts for row in rows]), by_block=None)
    >>> estimate, deviation = ComposedModel.fit(features, luts, "luts").predict(features)
    >>> bool(np.abs(estimate / luts.totals - 1).mean() < 0.02)
    True
    """

    factors: Floats
    """Amount per unit of each feature, >= 0, shape (columns,)."""
    correction: ProcessRegressor

    @classmethod
    def fit(
        cls,
        features: Features,
        measured: Measured,
        resource: str,
        like: ComposedModel | None = None,
    ) -> ComposedModel:
        """Fit factors and correction to measurements of ``resource``.

        like: model whose kernel hyperparameters (length scale, noise) the correction takes over
        instead of selecting them by marginal likelihood. Raises ValueError unless all measurements
        are above 0.
        """
        factors = _factors(features.sizes, measured, priors(resource))
        ratio = np.log(measured.totals / np.maximum(features.sizes @ factors, 1.0))
        chosen = (like.correction.length_, like.correction.noise_) if like else (None, None)
        process = ProcessRegressor(length=chosen[0], noise=chosen[1])
        return cls(factors, process.fit(features.shape, ratio))

    def predict(self, features: Features) -> tuple[Floats, Floats]:
        """Return estimates and the standard deviations of their natural logarithms, each (n,)."""
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
        """Predict each row by a model fitted without its group (grouped cross-validation).

        The kernel hyperparameters are those of this model, whichever rows it was fitted to. Returns
        the same as ``predict``; ``seed`` shuffles the folds. groups: label of each row. Raises
        ValueError if there is only one group.
        """

        def fit_and_predict(train: Ints, test: Ints) -> tuple[Floats, Floats]:
            part = self.fit(features.take(train), measured.take(train), resource, like=self)
            with one_thread():
                return part.predict(features.take(test))

        return cross_predict(fit_and_predict, groups, seed)


def _factors(sizes: Floats, measured: Measured, drawn_to: Floats) -> Floats:
    """Return the factors of all columns, fitted block by block if the data has blocks.

    sizes: features, shape (n, columns); drawn_to: prior factors, shape (columns,), like the result.
    Squared errors are relative to the whole NPU, so that blocks weigh by their share of it.
    """
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
    """Sum the modules of n NPUs by block: block -> amounts, shape (n,).

    modules: for each NPU, Verilog module -> amount of the resource. Raises ValueError for a module
    of no block (``owner``).
    """
    found = {block.name: np.zeros(len(modules)) for block in BLOCKS}
    owners: dict[str, str] = {}
    for row, counts in enumerate(modules):
        for module, count in counts.items():
            if module not in owners:
                owners[module] = owner(module)
            found[owners[module]][row] += count
    return found


def owner(module: str) -> str:
    """Return the name of the block with the longest prefix that the Verilog module's name has.

    Raises ValueError for a module of no block: a name that does not start with "npu".
    """
    fits = [
        (len(start), block.name)
        for block in BLOCKS
        for start in block.modules
        if module.startswith(start)
    ]
    return max(fits)[1]
