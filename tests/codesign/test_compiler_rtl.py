"""Whole random networks on the RTL, in Amaranth's simulator, with random stream stalls."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from codesign.compiler import compile_network
from models import reference
from tests.codesign.compiler_networks import (
    input_beats,
    loaded_twin,
    outputs,
)
from tests.codesign.random_networks import random_config, random_network
from tests.rtl_gen.device import Device


@pytest.mark.parametrize("seed", [1, 20, 31])
def test_rtl_equals_the_reference_for_every_tensor(seed: int) -> None:
    pick = random.Random(seed)
    bits = pick.randint(1, 8)
    network = random_network(pick, bits)
    compiled = compile_network(network, random_config(pick, network, bits))
    spec = network.tensors[network.input]
    codes = np.random.default_rng(seed).integers(0, 1 << spec.bits, (1, *spec.shape), np.uint8)
    beats = input_beats(compiled, codes[0])
    device = Device(compiled.config, stall=0.3, seed=seed).run(
        compiled.traced.words,
        compiled.weights,
        compiled.channels,
        beats,
        instructions=len(compiled.traced.steps),
    )
    assert tuple(device.cycle_log) == compiled.traced.log
    twin = loaded_twin(compiled, traced=True).run(beats)
    found = outputs(compiled, dataclasses.replace(twin, output_beats=device.output_beats))
    expected = reference.run(network, codes)
    for layer in network.mac_layers:
        np.testing.assert_array_equal(found[layer.output], expected[layer.output][0])
