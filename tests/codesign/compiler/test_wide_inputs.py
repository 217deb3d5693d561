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


def imaged(seed: int, weight_bits: int, *, input_bits: int = 8, bits: int = 2) -> IntegerNetwork:
    """Return a network whose first layer reads a wide image; all other codes have ``bits`` bits."""
    net = NetworkBuilder(random.Random(seed), (3, 6, 5), input_bits)
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


def test_weights_are_stored_once_and_read_for_each_digit() -> None:
    knobs = {"activation_bits": 4, "weight_digit_bits": 2}
    narrow, wide = (imaged(1, 4, input_bits=bits) for bits in (4, 8))
    one = compile_network(narrow, sized(narrow, **knobs))
    two = compile_network(wide, sized(wide, **knobs, wide_input_passes=2))
    np.testing.assert_array_equal(one.weights, two.weights)
    taps = [compiled.plan.schedule.tiles[0].taps for compiled in (one, two)]
    assert taps[1] == 2 * taps[0]
    assert one.plan.schedule.tiles[1:] == two.plan.schedule.tiles[1:]


def test_digits_of_a_pixel_lie_in_words_of_their_own() -> None:
    network = imaged(1, 4)
    compiled = compile_network(network, sized(network, activation_bits=3, wide_input_passes=1,
                                              weight_digit_bits=4, lanes=2))  # fmt: skip
    place = compiled.layouts["image"].to_dict()
    (codes,) = random_codes(network, 1, seed=4)
    beats = layout.pack(place, codes)
    np.testing.assert_array_equal(layout.unpack(place, beats), codes)
    if place["window"]:
        codes = layout.unfold(place["window"], codes)
    digits, step = 3, place["digit_words"]
    assert place["pixel_words"] == digits * step
    words = beats.reshape(*codes.shape[1:], place["pixel_words"])
    for channel, code in enumerate(codes):
        word, lane = place["channel_groups"][channel], place["channel_lanes"][channel]
        for k in range(digits):
            digit = words[:, :, word + k * step] >> (3 * lane) & 7
            np.testing.assert_array_equal(digit, code >> (3 * (digits - 1 - k)) & 7)


def several_readers(seed: int) -> IntegerNetwork:
    """Return a network of which a grouped, a depthwise, a pooling and a dense layer read a wide
    image of more channels than lanes."""
    net = NetworkBuilder(random.Random(seed), (6, 6, 6), 7)
    grouped = net.conv("image", 6, (3, 3), padding=(1, 1), groups=3, weight_bits=3)
    own = net.depthwise("image", (3, 3), padding=(1, 1), weight_bits=4)
    mean = net.depthwise("image", (1, 1), op="avg_pool", weight_bits=2, largest_weights=True)
    joined = net.concat([net.add(grouped, own), mean])
    net.linear(net.conv(joined, 5, (2, 2), stride=(2, 2)), 4)
    return net.build()


@pytest.mark.parametrize("pixels", [1, 3])
def test_any_layers_read_the_image(pixels: int) -> None:
    network = several_readers(5)
    config = sized(network, pixels=pixels, activation_bits=4, weight_digit_bits=2,
                   wide_input_passes=2, depthwise_taps=3)  # fmt: skip
    compiled = compile_network(network, config)
    check_against_reference(network, compiled, images=2)
    assert [tile.digits for tile in compiled.plan.schedule.tiles[:3]] == [2, 2, 2]


def test_zero_weights_are_left_out_whole_passes_only_of_other_layers() -> None:
    """The passes of a wide layer set how far digits move; rows, columns and words may go."""
    network = imaged(3, 4, bits=4)
    first = network.mac_layers[0]
    source = first.sources[0]
    weights = source.weights.copy()
    weights[:, :, 0], weights[weights > 1], weights[weights < -1] = 0, 1, -1  # one digit would do
    layer = dataclasses.replace(first, sources=(dataclasses.replace(source, weights=weights),))
    thin = dataclasses.replace(network, layers=(layer, *network.layers[1:]))
    config = sized(network, activation_bits=4, weight_digit_bits=2, wide_input_passes=2)
    compiled = compile_network(thin, config)
    check_against_reference(thin, compiled)
    (extent,) = {part.extent for part in compiled.plan.schedule.parts if part.layer == 0}
    assert extent.passes == 2
    assert compiled.program.cycles <= plan(dataclasses.replace(thin, blank=True), config).cycles


def test_wide_images_back_to_back_and_in_bands() -> None:
    network = imaged(2, 4)
    config = sized(network, activation_bits=2, weight_digit_bits=4, wide_input_passes=1)
    deep = dataclasses.replace(config, activation_depth=4 * config.activation_depth)
    compiled = compile_network(network, deep)
    assert compiled.stream
    check_against_reference(network, compiled, images=3)

    shallow = dataclasses.replace(
        config, activation_depth=config.activation_depth // 2, memory_port_bits=32,
        memory_tiles=True, program_depth=2048,
    )  # fmt: skip
    compiled = compile_network(network, shallow)
    assert compiled.plan.schedule.moves
    check_against_reference(network, compiled, images=2)


def refusal(network: IntegerNetwork, **knobs: object) -> str:
    config = NpuConfig(lanes=4, columns=8, post_units=2, accumulator_bits=28, **knobs)  # type: ignore[arg-type]
    with pytest.raises(InfeasibleError) as refused:
        plan(network, config)
    return str(refused.value)


def test_what_cannot_be_read_in_digits_is_refused_with_what_would_help() -> None:
    network = imaged(1, 4)
    told = refusal(network, activation_bits=4, weight_digit_bits=2)
    assert "8 bits of activation_bits, has 4" in told
    assert "set npu.wide_input_passes to 2" in told
    told = refusal(network, activation_bits=4, weight_digit_bits=2, wide_input_passes=1)
    assert "2 passes of wide_input_passes, has 1" in told
    told = refusal(imaged(1, 8), activation_bits=2, weight_digit_bits=2, wide_input_passes=2)
    assert "4 passes of wide_input_passes, has 2" in told
    assert "set npu.wide_input_passes" not in told  # 4 passes of 2 bits reach beyond 2 + 2 bits


def test_additions_and_padding_that_is_not_0_are_refused() -> None:
    net = NetworkBuilder(random.Random(1), (4, 6, 5), 8)
    net.linear(net.add("image", net.conv("image", 4)), 3)
    knobs = {"activation_bits": 4, "weight_digit_bits": 4, "wide_input_passes": 2}
    assert "8 bits of activation_bits, has 4" in refusal(net.build(), **knobs)
    for signed in (False, True):
        net = NetworkBuilder(random.Random(1), (4, 6, 5), 8, signed)
        net.linear(net.conv3x3("image", 4), 3)
        network = net.build()
        if signed:
            assert "8 bits of activation_bits, has 4" in refusal(network, **knobs)
        else:
            plan(network, sized(network, **knobs))


def test_padding_below_and_right_alone_counts_as_padding() -> None:
    """Its code is read in every pass, which is right for code 0 alone."""
    knobs = {"activation_bits": 4, "weight_digit_bits": 4, "wide_input_passes": 1}
    for zero, after in ((9, (1, 0)), (9, (0, 1)), (0, (1, 1)), (9, (0, 0))):
        net = NetworkBuilder(random.Random(1), (4, 6, 5), 8, zero_point=zero)
        net.linear(net.conv("image", 4, (3, 3), after=after), 3)
        network = net.build()
        if zero and any(after):
            assert "8 bits of activation_bits, has 4" in refusal(network, **knobs)
        else:
            check_against_reference(network, compile_network(network, sized(network, **knobs)))


@pytest.mark.parametrize(
    ("knobs", "allowed"),
    [
        ({"activation_bits": 4, "weight_digit_bits": 4, "wide_input_passes": 3}, "0 or 1..2"),
        ({"activation_bits": 2, "weight_digit_bits": 4, "wide_input_passes": 2}, "0 or 1"),
        ({"activation_bits": 4, "weight_digit_bits": 1, "wide_input_passes": 1}, "0 or 2..5"),
    ],
)
def test_passes_that_would_move_sums_back_are_refused(knobs: dict[str, int], allowed: str) -> None:
    with pytest.raises(ConfigError, match=f"npu.wide_input_passes must be {allowed} with"):
        NpuConfig(**knobs)  # type: ignore[arg-type]
