"""Synthesis data made up from the analytic counts, for tests of the area model without Yosys."""

from __future__ import annotations

import dataclasses

import numpy as np

from codesign.cost.area import dsps, model_file
from codesign.cost.area.blocks import RESOURCES, memory_counts
from codesign.cost.area.composed import analytic
from codesign.cost.area.model import AreaEstimate, AreaModel
from codesign.cost.characterization import sampling
from codesign.cost.data.dataset import Row
from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig


def rows(
    count: int, max_luts: float = 20000.0, seed: int = 3, factor: float = 1.1, noise: float = 0.0
) -> list[Row]:
    """Return rows for ``count`` sampled NPUs of at most ``max_luts`` LUTs.

    LUTs, flip-flops and LUTRAMs are ``factor`` times the analytic counts, with log-normal noise of
    standard deviation ``noise``; block RAMs and DSP slices are exact.
    """
    configs = sampling.sample(count, max_luts, seed)
    table = ConfigTable.of(configs)
    random = np.random.default_rng(seed)
    found = {
        name: analytic(table, name) * factor * np.exp(random.normal(0, noise, count))
        for name in RESOURCES
    }
    brams, slices = memory_counts(table).brams, dsps.dsp_count(table)
    return [
        Row(config, **{name: float(found[name][i]) for name in RESOURCES},
            brams=float(brams[i]), dsps=float(slices[i]), rtl_hash="", tool="", date="",
            seconds=1.0)
        for i, config in enumerate(configs)
    ]  # fmt: skip


def whole_rows(count: int) -> list[Row]:
    """Return rows with integer counts, as a data file holds them."""
    return [
        dataclasses.replace(row, **{name: float(round(getattr(row, name))) for name in RESOURCES})
        for row in rows(count)
    ]


def model(count: int = 50) -> AreaModel:
    """Return an area model fitted to noiseless rows of ``count`` NPUs."""
    return AreaModel.fit(rows(count, 40000.0, seed=2, factor=1.0))


def estimate_one(config: NpuConfig) -> AreaEstimate:
    """Return the estimate of the shipped area model for one NPU, in arrays of length 1."""
    return model_file.load().estimate(ConfigTable.of([config]))
