"""Inputs wider than the array's codes are taken in several activation digits, bit for bit.

Behavioural model and RTL are held against the integer reference, which multiplies whole codes; the
cycles against passes times digits, and against the closed form.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from codesign.compiler import accumulator_bits, compile_network, minimal_depths, plan
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ConfigError
from sim import layout
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import (
    check_against_reference,
    check_on_the_rtl,
    random_codes,
)
from tests.codesign.cost.closed_form import check_closed_form


def imaged(
    seed: int, weight_bits: int, *, input_bits: int = 8, bits: int = 2, channels: int = 3
) -> IntegerNetwork:
    """Return a network whose first layer reads a wide image; all other codes have ``bits`` bits."""
    net = NetworkBuilder(random.Random(seed), (channels, 9, 8), input_bits)
    last = net.conv3x3("image", 7, weight_bits=weight_bits, output_bits=bits)
    last = net.conv(last, 9, (2, 2), stride=(2, 2), weight_bits=3, output_bits=bits)
    net.linear(last, 5, weight_bits=2)
    return net.build()


def sized(network: IntegerNetwork, **knobs: object) -> NpuConfig:
    """Return an NPU that just holds the network, with these parameters."""
    base: dict[str, object] = {"lanes": 4, "columns": 8, "post_units": 2}
    bits = max(accumulator_bits(network), 10)
    config = NpuConfig(**{**base, "accumulator_bits": bits, **knobs})  # type: ignore[arg-type]
    return dataclasses.replace(config, **minimal_depths(network, config))


CASES = {
    # name: (weight bits, bits of the other codes, NPU)
    "4 x 4, one pass": (4, 4, {"activation_bits": 4, "weight_digit_bits": 4, "passes": 1}),
    "4 x 4, no shift between digits": (
        8, 4, {"activation_bits": 4, "weight_digit_bits": 4, "passes": 2},
    ),
    "4 x 2": (4, 4, {"activation_bits": 4, "weight_digit_bits": 2, "passes": 2}),
    "2 x 2": (2, 2, {"activation_bits": 2, "weight_digit_bits": 2, "passes": 1}),
    "2 x 2, two passes": (4, 2, {"activation_bits": 2, "weight_digit_bits": 2, "passes": 2}),
    "3 bits, which do not divide 8": (
        3, 3, {"activation_bits": 3, "weight_digit_bits": 2, "passes": 2},
    ),
    "2 x 4, digits of weights wider": (
        4, 2, {"activation_bits": 2, "weight_digit_bits": 4, "passes": 1},
    ),
    "4 x 1": (2, 4, {"activation_bits": 4, "weight_digit_bits": 1, "passes": 2}),
    "4 x 1, no shift between digits": (
        5, 4, {"activation_bits": 4, "weight_digit_bits": 1, "passes": 5},
    ),
    "4 x 1, more passes than the weights": (
        2, 4, {"activation_bits": 4, "weight_digit_bits": 1, "passes": 4},
    ),
    "1 x 1": (2, 1, {"activation_bits": 1, "weight_digit_bits": 1, "passes": 2}),
    "1-bit weights in one pass": (
        1, 2,
        {"activation_bits": 2, "weight_digit_bits": 1, "passes": 1, "binary_weights": True},
    ),
    "1-bit weights in two passes": (
        1, 2,
        {"activation_bits": 2, "weight_digit_bits": 1, "passes": 2, "binary_weights": True},
    ),
    "sparse array": (
        4, 4,
        {"activation_bits": 4, "weight_digit_bits": 2, "passes": 2, "sparsity": "2:4"},
    ),
    "dsp": (4, 4, {"activation_bits": 4, "weight_digit_bits": 4, "passes": 1, "multiplier": "dsp"}),
    "dsp, 1-bit digits": (
        2, 4, {"activation_bits": 4, "weight_digit_bits": 1, "passes": 2, "multiplier": "dsp"},
    ),
    "dsp2": (
        8, 4, {"activation_bits": 4, "weight_digit_bits": 4, "passes": 2, "multiplier": "dsp2"},
    ),
    "dsp2, 8-bit digits": (
        8, 7, {"activation_bits": 7, "weight_digit_bits": 8, "passes": 1, "multiplier": "dsp2"},
    ),
    "dsp4": (
        4, 4,
        {"activation_bits": 4, "weight_digit_bits": 2, "passes": 2, "multiplier": "dsp4"},
    ),
    "column reuse beside it": (
        4, 4, {"activation_bits": 4, "weight_digit_bits": 4, "passes": 1, "depthwise_taps": 3},
    ),
}  # fmt: skip


def case(name: str) -> tuple[IntegerNetwork, NpuConfig]:
    weight_bits, bits, knobs = CASES[name]
    network = imaged(len(name), weight_bits, bits=bits)
    knobs = {("wide_input_passes" if k == "passes" else k): v for k, v in knobs.items()}
    return network, sized(network, **knobs)


@pytest.mark.parametrize("name", CASES)
def test_wide_codes_give_the_same_sums(name: str) -> None:
    network, config = case(name)
    compiled = compile_network(network, config)
    check_against_reference(network, compiled, images=2)
    first = next(step for step in compiled.program.steps if step.name.startswith("layer_"))
    assert first.values["digits"] + 1 == -(-8 // config.activation_bits)
    assert first.values["passes"] + 1 == config.wide_input_passes


@pytest.mark.parametrize("name", CASES)
def test_wide_codes_on_the_rtl(name: str) -> None:
    network, config = case(name)
    check_on_the_rtl(network, compile_network(network, config), seed=3, stall=0.2)


@pytest.mark.parametrize("name", CASES)
def test_the_closed_form_counts_them_alike(name: str) -> None:
    network, config = case(name)
    check_closed_form(network, [config])
