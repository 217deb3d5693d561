"""Estimates of NPUs with DSP multipliers: slices are counted exactly, LUTs close to synthesis.

Also the form of slice sharing that a search candidate takes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from benchmarks.density import POINTS
from codesign.fpga import synthesis
from codesign.fpga.families import FAMILIES
from codesign.search.space.candidates import npu_table
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from rtl_gen import emit
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import MULTIPLIERS
from tests.codesign.cost.synthetic import estimate_one


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "values",
    [
        dict(lanes=4, columns=4, activation_bits=8, weight_digit_bits=8, accumulator_bits=26,
             post_units=1, multiplier="dsp2"),
        dict(pixels=3, lanes=3, columns=6, activation_bits=6, weight_digit_bits=4, post_units=3,
             accumulator_bits=17, multiplier="dsp2"),
        dict(pixels=4, lanes=4, columns=4, activation_bits=4, weight_digit_bits=4,
             accumulator_bits=24, multiplier="dsp4"),
        dict(lanes=2, columns=4, activation_bits=2, weight_digit_bits=2, multiplier="dsp"),
        dict(lanes=2, columns=2, activation_bits=2, weight_digit_bits=1, multiplier="dsp2",
             accumulator_bits=32, scale_bits=16),
    ],
    ids=str,
)  # fmt: skip
def test_the_count_is_that_of_synthesis(values: dict[str, Any], family: str) -> None:
    """Array and post units are synthesised; no other block has multipliers."""
    config = NpuConfig(**{"pixels": 1, "post_units": 1, **values})
    verilog = emit.verilog(config)
    array, unit = (
        synthesis.synthesise(verilog, top, dsps=True, family=family).figures.dsps
        for top in ("npu_mac_array", "npu_post_unit")
    )
    assert array is not None
    assert unit is not None
    assert estimate_one(config).on(family).dsps[0] == array + config.post_units * unit


@pytest.mark.parametrize(
    ("point", "luts", "ffs", "dsps"),
    [("8x8-dsp2", 2811, 5901, 68), ("8x8-dsp2-256", 3676, 9637, 132),
     ("4x4-dsp2", 4646, 8084, 260), ("4x4-dsp4", 5562, 10271, 132)],
)  # fmt: skip
def test_shared_slices_are_estimated(point: str, luts: int, ffs: int, dsps: int) -> None:
    """The measured values are points of benchmarks.density (pyosys 0.70)."""
    found = estimate_one(POINTS[point])
    assert found.luts[0] == pytest.approx(luts, rel=0.02)
    assert found.ffs[0] == pytest.approx(ffs, rel=0.02)
    assert found.dsps[0] == dsps


def test_candidates_share_slices_as_far_as_their_pixels_allow() -> None:
    declaration = load_declaration("digits")
    npu = dataclasses.replace(declaration.npu, multiplier=("dsp4",))
    space = SearchSpace(dataclasses.replace(declaration, npu=npu), (1, 8, 8), 10)
    random = np.random.default_rng(3)
    chosen = space.canonical(random.integers(0, space.sizes, (200, len(space.sizes))))
    table = npu_table(space, chosen, layer_table(space, chosen))
    forms = [table.config(row).multiplier for row in range(len(table))]  # all are valid
    assert set(forms) == {"dsp2", "dsp4"}
    for row, form in enumerate(forms):
        odd = table.pixels[row] % 2 == 1
        assert not (odd and form == "dsp4")
        assert MULTIPLIERS[table.multiplier[row]] == form
