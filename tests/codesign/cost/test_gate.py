"""Gate of the area model: estimates of a fixed set of NPUs agree with synthesising them now.

A change of the generator that the model does not know of fails here.
"""

from __future__ import annotations

import pytest

from codesign.cost.area import model_file
from codesign.cost.characterization.characterize import measure
from codesign.cost.data import dataset
from codesign.cost.table import ConfigTable
from rtl_gen.config import NpuConfig

SET = {
    "plain": NpuConfig(pixels=3, lanes=4, columns=12, weight_digit_bits=2, activation_bits=5),
    "sparse, with a memory port": NpuConfig(
        lanes=8, columns=8, weight_digit_bits=4, sparsity="2:4", memory_port_bits=64
    ),
    "shared slices": NpuConfig(lanes=4, columns=8, weight_digit_bits=4, multiplier="dsp2"),
    "binary weights": NpuConfig(
        lanes=8, columns=16, weight_digit_bits=1, activation_bits=2, binary_weights=True
    ),
    "stacked weight memory": NpuConfig(lanes=4, columns=8, weight_digit_bits=4, weight_depth=1536),
    "activation tables": NpuConfig(
        lanes=4, columns=8, weight_digit_bits=4, activation_tables=2, channel_depth=128
    ),
    "threshold units": NpuConfig(
        lanes=4, columns=8, activation_bits=2, post_units=4, requantisation="thresholds"
    ),
    "column reuse": NpuConfig(lanes=4, columns=4, activation_bits=8, depthwise_taps=3),
}


@pytest.mark.parametrize("name", SET)
def test_synthesis_finds_what_was_estimated(name: str) -> None:
    """LUTs and flip-flops within twice the 90 % interval; block RAMs and DSP slices exactly."""
    config = SET[name]
    assert config.hash not in {row.config.hash for row in dataset.read()}
    found = model_file.load().estimate(ConfigTable.of([config]))
    measured = measure(config).row
    for resource in ("luts", "lutrams", "ffs"):
        middle, high = getattr(found, resource)[0], found.high[resource][0]
        assert getattr(measured, resource) == pytest.approx(middle, abs=2 * (high - middle)), (
            resource
        )
    assert found.brams[0] == measured.brams
    assert found.dsps[0] == measured.dsps
