"""Networks whose outputs are maps, pooled features or of one scale a channel; wide weights of sums.

On the twin and the RTL, exact in values and cycles.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import accumulator_bits, compile_network, minimal_depths, plan
from codesign.results import InfeasibleError
from models.errors import ModelError
from models.integer import checks, files, reference
from models.integer.network import IntegerNetwork, PoolWindow
from rtl_gen.config import NpuConfig
from sim.driver import Prediction
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import with_memory_port
from tests.codesign.cost.closed_form import check_closed_form

RUNS = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def of_maps(pick: random.Random) -> IntegerNetwork:
    """Return a network whose last layer gives a map: a convolution, an average or a sum."""
    net = NetworkBuilder(pick, (pick.randint(1, 4), pick.randint(2, 7), pick.randint(2, 7)), 4)
    last = net.conv3x3("image", pick.randint(2, 9), zero_point=pick.randrange(16))
    match pick.choice(["dense", "average", "sum"]):
        case "dense":
            stride = (pick.randint(1, 2), pick.randint(1, 2))
            net.conv3x3(last, pick.randint(1, 20), stride=stride, raw=True)
        case "average":
            net.depthwise(last, (2, 2), stride=(2, 2), op="avg_pool", largest_weights=True,
                          weight_bits=2, raw=True)  # fmt: skip
        case "sum":
            net.add(last, net.conv3x3(last, net.channels(last)), weight_bits=8, raw=True)
    return net.build()


def npu(pick: random.Random, network: IntegerNetwork) -> NpuConfig:
    lanes = pick.choice([2, 4, 6])
    config = NpuConfig(
        pixels=pick.randint(1, 4), lanes=lanes, columns=lanes * pick.randint(1, 2),
        weight_digit_bits=pick.choice([2, 4]), post_units=pick.choice([1, 2]),
        accumulator_bits=max(16, accumulator_bits(network)),
    )  # fmt: skip
    return dataclasses.replace(config, **minimal_depths(network, config))


@RUNS
@given(st.integers(0, 2**32 - 1))
def test_outputs_of_several_positions_are_exact(seed: int) -> None:
    pick = random.Random(seed)
    network = of_maps(pick)
    checks.check(network)
    config = npu(pick, network)
    check_against_reference(network, compile_network(network, config), images=2, seed=seed)
    fetched = with_memory_port(pick, network, config)
    if fetched:
        check_against_reference(network, compile_network(network, fetched), seed=seed)
    roomy = dataclasses.replace(config, activation_depth=4096, weight_depth=4096)
    found = check_closed_form(network, [roomy])
    assert found.result_depth[0] == plan(network, config).use.result_depth


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_rtl_gives_maps(seed: int) -> None:
    pick = random.Random(seed)
    network = of_maps(pick)
    check_on_the_rtl(network, compile_network(network, npu(pick, network)), seed, stall=0.2)


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_sums_have_weights_of_up_to_16_bits(bits: int) -> None:
    pick = random.Random(bits)
    net = NetworkBuilder(pick, (3, 4, 4), 8, scale_bits=16, zero_point=77)
    first, second = (
        net.conv("image", 5, output_bits=8, zero_point=pick.randrange(256)) for _ in range(2)
    )
    net.linear(net.add(first, second, weight_bits=bits, output_bits=8, zero_point=3), 4)
    network = net.build()
    assert max(np.abs(s.weights).max() for s in network.mac_layers[2].sources) >= 1 << bits - 2
    config = NpuConfig(
        lanes=4, columns=4, weight_digit_bits=2, post_units=2, activation_bits=8, scale_bits=16,
        accumulator_bits=accumulator_bits(network),
    )  # fmt: skip
    config = dataclasses.replace(config, **minimal_depths(network, config))
    check_on_the_rtl(network, compile_network(network, config), seed=bits, stall=0.1)
    narrow = dataclasses.replace(config, weight_digit_bits=1, weight_depth=4096)
    with pytest.raises(InfeasibleError, match=r"raise npu\.weight_digit_bits"):
        plan(network, narrow)


def test_outputs_of_several_scales_are_compared_as_real_values(tmp_path) -> None:
    net = NetworkBuilder(random.Random(3), (2, 3, 3), 4)
    out = net.linear("image", 3)
    scale = np.array([1.0, 0.25, 2.0])
    net.tensors[out] = dataclasses.replace(net.tensors[out], scale=scale)
    network = net.build()
    assert network.output.scale == (1.0, 0.25, 2.0)
    outputs = np.array([[3, 9, 1], [1, 8, 1], [2, 8, 1]])
    assert network.real(outputs).tolist() == [[3, 2.25, 2], [1, 2, 2], [2, 2, 2]]
    assert network.answers(outputs).tolist() == [0, 1, 0]
    files.save(network, tmp_path / "n.npz")
    assert files.load(tmp_path / "n.npz").tensors == network.tensors
    compiled = compile_network(network, npu(random.Random(0), network))
    classes, _ = Prediction.of(compiled.logits.to_dict(), outputs.astype(np.int32), "abc")
    assert classes.tolist() == [0, 1, 0]


def test_outputs_that_hardware_cannot_give_are_refused() -> None:
    net = NetworkBuilder(random.Random(3), (2, 4, 4), 4)
    out = net.conv("image", 3, pool=PoolWindow((2, 2), (2, 2)), raw=True)
    with pytest.raises(ModelError, match="without max pooling"):
        checks.check(net.build())
    net = NetworkBuilder(random.Random(3), (2, 4, 4), 4)
    out = net.conv("image", 3, raw=True)
    net.tensors[out] = dataclasses.replace(net.tensors[out], scale=(1.0, 2.0))
    with pytest.raises(ModelError, match="scale"):
        checks.check(net.build())
    net = NetworkBuilder(random.Random(3), (2, 4, 4), 4)
    net.conv("image", 3)
    with pytest.raises(ModelError, match="the last layer, and no other"):
        checks.check(net.build())


def test_maps_come_in_the_order_of_channels() -> None:
    net = NetworkBuilder(random.Random(3), (2, 4, 4), 4)
    out = net.conv("image", 3, raw=True)
    network = net.build()
    codes = np.random.default_rng(0).integers(0, 16, (2, 2, 4, 4), np.uint8)
    (layer,) = network.mac_layers
    wanted = np.einsum("oi,nihw->nohw", layer.sources[0].weights[:, :, 0, 0], codes.astype(int))
    wanted += layer.bias[:, None, None]
    np.testing.assert_array_equal(reference.run(network, codes)[out], wanted.reshape(2, -1))
