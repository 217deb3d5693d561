"""Networks that an NPU cannot run are refused with every reason, and the limits are tight.

A reason names resource, layer, need and have; with exactly what is needed the network compiles.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from codesign.compiler import (
    accumulator_bits,
    compile_network,
    minimal_depths,
    plan,
    remedies,
    worst_accumulator_bits,
)
from codesign.results import Infeasible, InfeasibleError
from models.integer.network import IntegerNetwork, PoolWindow
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS
from rtl_gen.parameters import DEPTH_RANGES
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
from tests.codesign.compiler.random_networks import random_config, random_network


def network(**changes: int) -> IntegerNetwork:
    """Return two convolutions and a classifier; ``bits`` are the image's, the rest the second
    convolution's options."""
    net = NetworkBuilder(random.Random(3), (2, 8, 8), changes.pop("bits", 4))
    first = net.conv3x3("image", 20, pool=PoolWindow(kernel=(2, 2), stride=(2, 2)))
    second = net.conv3x3(first, 40, **changes)
    net.linear(second, 10)
    return net.build()


def fitting(net: IntegerNetwork, **changes: int) -> NpuConfig:
    """Return an NPU with the shallowest memories that hold the network."""
    config = NpuConfig(accumulator_bits=20, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(config, **minimal_depths(net, config))


def reasons(net: IntegerNetwork, config: NpuConfig) -> dict[str, Infeasible]:
    """Return why the network does not compile for ``config``, by resource."""
    with pytest.raises(InfeasibleError) as caught:
        compile_network(net, config)
    return {reason.resource: reason for reason in caught.value.reasons}


@pytest.mark.parametrize("name", DEPTH_RANGES)
def test_minimal_depths_are_minimal(name: str) -> None:
    net = network()
    config = fitting(net)
    plan(net, config)
    half = getattr(config, name) // 2
    assert half >= DEPTH_RANGES[name][0], "the case must be large enough to test"
    found = reasons(net, dataclasses.replace(config, **{name: half}))
    assert set(found) == {name}
    reason = found[name]
    assert half < reason.need <= 2 * half
    assert reason.have == half
    assert reason.unit == "words"
    assert reason.levers[0] == f"raise npu.{name}"
    layers = {layer.name for layer in net.layers}
    assert reason.where in (layers if name != "program_depth" else {"net"})


def test_all_reasons_come_at_once() -> None:
    net = network(bits=5)
    config = NpuConfig(
        activation_bits=4, accumulator_bits=10, scale_bits=7, activation_depth=16, weight_depth=16,
        channel_depth=4, result_depth=2, program_depth=32,
    )  # fmt: skip
    assert set(reasons(net, config)) == {
        "activation_bits", "accumulator_bits", "scale_bits", *DEPTH_RANGES,
    }  # fmt: skip


def test_activation_bits_name_the_tensor() -> None:
    net = network(bits=5)
    reason = reasons(net, NpuConfig(weight_depth=4096, accumulator_bits=20))["activation_bits"]
    assert (reason.where, reason.need, reason.have) == ("image", 5, 4)


def test_a_smaller_activation_memory_takes_a_slower_schedule() -> None:
    """Strips that suit the 2x2 map leave two of four pixel lanes idle in every layer. The fast
    schedule avoids that and keeps the small maps in bank 0, which takes more words of it."""
    net = NetworkBuilder(random.Random(3), (8, 8, 8), 4)
    first = net.conv3x3("image", 8)
    second = net.conv(first, 8, stride=(2, 2))
    net.linear(net.conv(second, 128, stride=(2, 2)), 4)
    built = net.build()
    config = NpuConfig(pixels=4, weight_depth=1024, channel_depth=128, accumulator_bits=16)
    fast = plan(built, config)
    assert [layer.split for layer in fast.layers] == [True, False, False, False]
    assert fast.schedule.strips.rows["image"] == 2
    assert fast.use.activation_depth == 80
    slow = plan(built, dataclasses.replace(config, activation_depth=64))
    assert [layer.split for layer in slow.layers] == [True, True, True, False]
    assert slow.schedule.strips.rows["image"] == 4
    assert slow.use.activation_depth == 64
    assert slow.cycles > fast.cycles


def test_accumulator_bits_are_reached_by_an_image() -> None:
    """The bound is tight: there is an image whose sum needs every bit."""
    net = NetworkBuilder(random.Random(5), (4, 2, 2), 4)
    net.linear("image", 3, weight_bits=6)
    built = net.build()
    (layer,) = built.mac_layers
    positive = np.abs(layer.sources[0].weights)
    source = dataclasses.replace(layer.sources[0], weights=positive)
    layer = dataclasses.replace(layer, sources=(source,), bias=np.full(3, 500))
    built = dataclasses.replace(built, layers=(layer,))
    largest = 15 * int(positive.sum(axis=(1, 2, 3)).max()) + 500
    bits = largest.bit_length() + 1
    assert accumulator_bits(built) == bits
    compile_network(built, NpuConfig(accumulator_bits=bits))
    reason = reasons(built, NpuConfig(accumulator_bits=bits - 1))["accumulator_bits"]
    assert (reason.where, reason.need, reason.have) == (layer.name, bits, bits - 1)


def test_the_bias_of_a_raw_layer_counts() -> None:
    net = NetworkBuilder(random.Random(5), (1, 1, 1), 4)
    net.linear("image", 1, weight_bits=8)
    built = net.build()
    (layer,) = built.mac_layers
    source = dataclasses.replace(layer.sources[0], weights=np.full((1, 1, 1, 1), 100))
    bias = np.array([1000])
    layer = dataclasses.replace(layer, sources=(source,), bias=bias)
    built = dataclasses.replace(built, layers=(layer,))
    assert accumulator_bits(built) == 13  # 1500 + 1000; 1500 alone takes 12
    check_against_reference(built, compile_network(built, NpuConfig(accumulator_bits=13)), 16)


@pytest.mark.parametrize("weight_bits, bits", [(1, 1), (2, 3), (4, 4), (8, 8)])
def test_worst_accumulator_bits_are_those_of_the_largest_weights(
    weight_bits: int, bits: int
) -> None:
    net = NetworkBuilder(random.Random(1), (3, 4, 4), bits)
    net.conv("image", 2, (4, 4), weight_bits=weight_bits, largest_weights=True, raw=True)
    built = net.build()
    (layer,) = built.mac_layers
    built = dataclasses.replace(built, layers=(dataclasses.replace(layer, bias=0 * layer.bias),))
    assert accumulator_bits(built) == worst_accumulator_bits(built)


def test_images_wider_than_their_field_are_refused() -> None:
    """The layer is depthwise: for a dense one the host would unfold the image (im2col), which fits
    the field."""
    net = NetworkBuilder(random.Random(3), (2, 1, 2100), 1)
    strided = net.depthwise("image", (1, 4), stride=(1, 300), weight_bits=2, output_bits=1)
    net.linear(strided, 2)
    found = reasons(net.build(), NpuConfig(activation_depth=4096))
    assert set(found) == {"col_limit"}
    assert (found["col_limit"].need, found["col_limit"].have) == (2100, 2047)


def test_kernels_larger_than_their_field_are_refused() -> None:
    net = NetworkBuilder(random.Random(3), (1, 300, 1), 1)
    net.linear(net.conv("image", 1), 2)
    found = reasons(net.build(), NpuConfig(weight_depth=1024))
    assert set(found) == {"kernel_rows"}
    assert (found["kernel_rows"].need, found["kernel_rows"].have) == (300, 256)


def test_three_sources_are_refused() -> None:
    net = NetworkBuilder(random.Random(3), (2, 2, 2), 4)
    net.linear(net.mac_layer(["image"] * 3, 2, op="add", groups=2), 2)
    reason = reasons(net.build(), NpuConfig())["sources"]
    assert (reason.need, reason.have) == (3, 2)
    assert reason.levers == ("add two tensors at a time",)


def test_two_sources_with_a_kernel_are_refused() -> None:
    net = NetworkBuilder(random.Random(3), (2, 3, 3), 4)
    net.linear(net.mac_layer(["image", "image"], 2, (3, 3), groups=2), 2)
    assert "kernel" in reasons(net.build(), NpuConfig())


def test_networks_larger_than_any_memory_are_refused() -> None:
    net = NetworkBuilder(random.Random(3), (64, 60, 60), 1)
    net.linear(net.conv("image", 64, (5, 5)), 2)
    with pytest.raises(InfeasibleError, match="activation_depth"):
        minimal_depths(net.build(), NpuConfig(pixels=1, lanes=2, columns=2))


def test_external_memory_is_named_where_it_helps() -> None:
    """The maps need more than the deepest activation memory, so a deeper one is no lever."""
    net = NetworkBuilder(random.Random(3), (3, 224, 224), 4)
    first = net.conv("image", 16, (7, 7), stride=(2, 2), padding=(3, 3))
    net.linear(net.conv(net.conv(first, 16, stride=(4, 4)), 16, stride=(4, 4)), 4)
    built = net.build()
    config = NpuConfig(
        pixels=2, lanes=4, columns=4, weight_digit_bits=4, post_units=4, accumulator_bits=24,
        activation_depth=32768, weight_depth=4096, channel_depth=1024, program_depth=128,
    )  # fmt: skip
    reason = reasons(built, config)["activation_depth"]
    assert reason.need > DEPTH_RANGES["activation_depth"][1]
    assert "raise npu.activation_depth" not in reason.levers
    lever = reason.levers[0]
    assert lever.startswith("set npu.memory_tiles to true and npu.memory_port_bits to 32")
    changes = {"memory_tiles": True, "memory_port_bits": 32, "program_depth": 512}
    assert f"npu.program_depth to {changes['program_depth']}" in lever
    plan(built, dataclasses.replace(config, **changes))  # type: ignore[arg-type]
    small = dataclasses.replace(config, activation_depth=16)
    assert not any(
        "memory_tiles" in one for one in reasons(built, small)["activation_depth"].levers
    )


def test_with_tiles_the_least_depth_that_works_is_named() -> None:
    """Without tiles a whole layer would have to fit, which takes four times as much here."""
    net = NetworkBuilder(random.Random(3), (4, 16, 16), 4)
    first = net.conv3x3("image", 4)
    net.linear(net.conv(net.conv3x3(first, 8), 8, (4, 4), stride=(4, 4)), 4)
    built = net.build()
    config = NpuConfig(
        pixels=2, lanes=4, columns=4, weight_digit_bits=4, post_units=4, accumulator_bits=24,
        activation_depth=16, weight_depth=4096, channel_depth=1024, program_depth=4096,
        memory_port_bits=32, memory_tiles=True,
    )  # fmt: skip
    reason = reasons(built, config)["activation_depth"]
    assert reason.levers[0] == "raise npu.activation_depth"
    whole = dataclasses.replace(config, memory_tiles=False)
    assert reason.need < reasons(built, whole)["activation_depth"].need
    plan(built, dataclasses.replace(config, activation_depth=int(reason.need)))
    less = dataclasses.replace(config, activation_depth=int(reason.need) // 2)
    assert reasons(built, less)["activation_depth"].need == reason.need


def test_no_depth_beyond_the_range_is_tried_for_tiles() -> None:
    """What tiles work in at no depth keeps the need of its whole layer."""
    tried = []

    def depths_of(option: NpuConfig) -> dict[str, int]:
        tried.append(option.activation_depth)
        raise InfeasibleError((reason,))

    reason = Infeasible("activation_depth", "a", 100_000, 4096, "words", ())
    config = NpuConfig(activation_depth=4096, memory_port_bits=32, memory_tiles=True)
    assert remedies.with_least_tiles((reason,), config, depths_of) == (reason,)
    assert tried == [8192, 16384, 32768]


def test_fetched_weights_are_named_where_they_help() -> None:
    net = network()
    config = dataclasses.replace(fitting(net), weight_depth=512)
    reason = reasons(net, config)["weight_depth"]
    lever = "set npu.memory_port_bits to 32 and npu.program_depth to "
    depth = next(int(one.removeprefix(lever)) for one in reason.levers if one.startswith(lever))
    assert reason.levers[0] == "raise npu.weight_depth"
    plan(net, dataclasses.replace(config, memory_port_bits=32, program_depth=depth))
    with pytest.raises(InfeasibleError, match="program_depth"):
        plan(net, dataclasses.replace(config, memory_port_bits=32, program_depth=depth // 2))
    small = reasons(net, dataclasses.replace(config, weight_depth=16))["weight_depth"]
    assert not any("memory_port_bits" in one for one in small.levers)


def test_the_plan_matches_the_compiled_network() -> None:
    """The plan is exact; from shapes alone it is where no weights are zero together, else an upper
    bound."""
    exact = 0
    for seed in range(30):
        pick = random.Random(seed)
        net = random_network(pick, 4)
        config = random_config(pick, net, 4)
        before = plan(dataclasses.replace(net, blank=True), config)
        planned, compiled = plan(net, config), compile_network(net, config)
        assert planned.steps == compiled.plan.steps
        exact += planned.steps == before.steps
        assert planned.cycles <= before.cycles
        assert planned.cycles == compiled.program.cycles == compiled.program.log[-1]
        assert len(compiled.weights) == planned.use.weight_depth
        assert len(compiled.channels) == planned.use.channel_depth
        assert len(compiled.traced.words) == BUS_WORDS * planned.use.program_depth
        assert all(0 <= layer.utilisation <= 1 for layer in planned.layers)
    assert exact >= 15
