"""Layers with weights of +1 and -1 take one pass (``binary_weights``), with the results of two.

Behavioural model and RTL are held against the integer reference, the closed-form cycle count
against the compiler's, and the search's choice of the option against what the NPU allows.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from codesign.compiler import accumulator_bits, compile_network, minimal_depths, plan
from codesign.cost.cycles.schedule import schedule
from codesign.search.space.candidates import npu_table
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network as candidate_network
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from models.quantisation.sparsity import Sparsity
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import BINARY_NEEDS, ConfigError
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.cost.closed_form import check_closed_form

BINARY = {"weight_digit_bits": 1, "binary_weights": 1}


def mixed(seed: int, signed: bool = False) -> IntegerNetwork:
    """Return a network of 1-bit layers among others.

    Three take one pass: one on the image, one behind a concat that leaves lanes without a channel,
    the classifier. Two cannot: a depthwise and an N:M sparse one.
    """
    pick = random.Random(seed)
    net = NetworkBuilder(pick, (3, 9, 8), 4, signed)
    last = net.conv3x3("image", 7, weight_bits=1, signed=signed)
    parts = [net.conv(last, n, weight_bits=2, output_bits=3, signed=signed) for n in (5, 6)]
    last = net.concat(parts)
    last = net.conv3x3(last, 12, weight_bits=1, output_bits=2, signed=signed)
    before = last
    last = net.depthwise(last, (3, 3), padding=(1, 1), weight_bits=1, output_bits=2)
    last = net.add(before, last, weight_bits=3)
    last = net.conv(last, 8, (2, 2), weight_bits=1, sparsity=Sparsity(2, 4), stride=(2, 2))
    net.linear(last, 11, weight_bits=1)
    return net.build()


def sized(network: IntegerNetwork, **knobs: object) -> NpuConfig:
    """Return an NPU that just holds the network, with these parameters."""
    base: dict[str, object] = {"lanes": 4, "columns": 8, "post_units": 2, "activation_bits": 4}
    bits = max(accumulator_bits(network), 10)
    config = NpuConfig(**{**base, "accumulator_bits": bits, **knobs})  # type: ignore[arg-type]
    return dataclasses.replace(config, **minimal_depths(network, config))


def passes(network: IntegerNetwork, config: NpuConfig) -> dict[str, list[tuple[int, int]]]:
    """Return layer name -> (passes, ``binary``) of each of its LAYER instructions."""
    found: dict[str, list[tuple[int, int]]] = {}
    for step in compile_network(network, config).program.steps:
        if "passes" in step.values:
            told = step.values["passes"] + 1, step.values.get("binary", 0)
            found.setdefault(step.name.split(" ")[0], []).append(told)
    return found


def test_dense_ungrouped_one_bit_layers_take_one_pass() -> None:
    network = mixed(1)
    found = passes(network, sized(network, **BINARY))
    one = {name for name, steps in found.items() if (1, 1) in steps}
    binary = {
        layer.name
        for layer in network.mac_layers
        if layer.weight_bits == 1 and layer.groups == 1 and not layer.sparsity
    }
    assert one == binary
    assert len(binary) == 3
    plain = passes(network, sized(network, weight_digit_bits=1))
    assert all(plain[name][0] == (2, 0) for name in binary)


def test_a_zero_among_the_weights_takes_two_passes() -> None:
    network = mixed(1)
    first = network.mac_layers[0]
    weights = first.sources[0].weights.copy()
    weights[2, 1, 0, 2] = 0
    source = dataclasses.replace(first.sources[0], weights=weights)
    pruned = dataclasses.replace(
        network,
        layers=tuple(
            dataclasses.replace(layer, sources=(source,)) if layer is first else layer
            for layer in network.layers
        ),
    )
    config = sized(pruned, **BINARY)
    assert passes(pruned, config)[first.name][0] == (2, 0)
    check_against_reference(pruned, compile_network(pruned, config))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_twin_equals_the_reference(seed: int, signed: bool) -> None:
    network = mixed(seed, signed)
    shapes = [(1, 4, 4), (3, 4, 8), (2, 8, 8), (1, 16, 32)]
    pixels, lanes, columns = shapes[seed % len(shapes)]
    config = sized(network, pixels=pixels, lanes=lanes, columns=columns, **BINARY)
    check_against_reference(network, compile_network(network, config))
    reusing = dataclasses.replace(config, depthwise_taps=3)
    reusing = dataclasses.replace(reusing, **minimal_depths(network, reusing))
    check_against_reference(network, compile_network(network, reusing))


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"pixels": 3, "columns": 4, "post_units": 4},
        {"pixels": 1, "lanes": 8, "depthwise_taps": 3},
        {"pixels": 3, "columns": 4, "post_units": 1},  # a snapshot right behind each drain
    ],
    ids=str,
)
def test_the_rtl_equals_the_reference(knobs: dict[str, int]) -> None:
    network = mixed(2, signed="pixels" in knobs)
    compiled = compile_network(network, sized(network, **BINARY, **knobs))
    check_on_the_rtl(network, compiled, 1, stall=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_the_fast_schedule_equals_the_compiler(seed: int) -> None:
    pick = random.Random(seed)
    net = NetworkBuilder(pick, (pick.randint(1, 4), 8, 8), 4)
    sparsity = Sparsity(2, 4) if seed == 3 else None
    last = net.conv3x3("image", 12, weight_bits=1, sparsity=sparsity)
    before = net.conv3x3(last, 12, weight_bits=1)
    last = net.conv3x3(before, 12, weight_bits=3)
    last = net.add(before, last)
    last = net.depthwise(last, (3, 3), padding=(1, 1), stride=(2, 2), weight_bits=1)
    net.linear(net.conv(last, 9, weight_bits=1), 10, weight_bits=1)
    network = net.build()
    configs = [
        sized(network, pixels=1 + seed, weight_digit_bits=1, binary_weights=k, depthwise_taps=taps)
        for k in (0, 1)
        for taps in (1, 3)
    ]
    found = check_closed_form(network, configs)
    assert found.cycles[2] < 0.85 * found.cycles[0]


def test_the_search_takes_binary_weights_wherever_it_can() -> None:
    declaration = load_declaration("digits")
    bits = dataclasses.replace(declaration.bits, weights=(1, 2))
    space = SearchSpace(dataclasses.replace(declaration, bits=bits), (1, 8, 8), 10)
    numbers = np.random.default_rng(7)
    candidates = space.canonical(numbers.integers(0, space.sizes, (80, len(space.sizes))))
    layers = layer_table(space, candidates)
    npus = npu_table(space, candidates, layers)
    found = schedule(layers, npus)
    assert 0 < npus.binary_weights.sum() < len(candidates)
    sized_npus = dataclasses.replace(npus, **found.depths())
    for row in range(len(candidates)):
        if not found.fits()[row]:
            continue
        config = sized_npus.config(row)  # and so a legal one
        lowered = shape_only(*candidate_network(space, candidates[row]), config.scale_bits)
        able = all(getattr(config, name) == value for name, value in BINARY_NEEDS.items())
        ones = any(layer.weight_bits == 1 for layer in lowered.mac_layers)
        assert config.binary_weights == (able and ones)
        assert plan(lowered, config).cycles == found.cycles[row]


@pytest.mark.parametrize(
    ("name", "value"), [("weight_digit_bits", 2), ("multiplier", "dsp"), ("sparsity", "2:4")]
)
def test_parameters_that_binary_weights_exclude_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"npu.{name} must be .* with npu.binary_weights, not"):
        NpuConfig(**{**BINARY, name: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="binary_weights must be true or false, not 2"):
        NpuConfig(weight_digit_bits=1, binary_weights=2)  # type: ignore[arg-type]
