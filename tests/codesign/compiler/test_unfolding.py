"""An image unfolded by the host (im2col) gives the same convolution, and is taken where it pays."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import compile_network, minimal_depths, plan
from codesign.compiler.mapping.unfolding import unfoldings
from models.integer import reference
from rtl_gen.config import NpuConfig
from sim import layout
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference
from tests.codesign.compiler.random_networks import random_network


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1))
def test_unfolded_networks_compute_the_same_from_unfolded_images(seed: int) -> None:
    network = random_network(random.Random(seed), 4)
    spec = network.tensors[network.input]
    codes = np.random.default_rng(seed).integers(0, 1 << spec.bits, (2, *spec.shape), np.uint8)
    expected = reference.run(network, codes)
    for unfolded in unfoldings(network):
        images = codes
        if unfolded.window is not None:
            window = dataclasses.asdict(unfolded.window)
            images = np.stack([layout.unfold(window, image) for image in codes])
            assert images.shape[1:] == unfolded.window.unfolded_shape
        assert images.shape[1:] == unfolded.network.tensors[network.input].shape
        found = reference.run(unfolded.network, images)
        for layer in network.mac_layers:
            np.testing.assert_array_equal(found[layer.output], expected[layer.output])


def test_each_kernel_position_becomes_a_channel() -> None:
    """One row of four pixels, a kernel of 3 columns, stride 2, padding 1 of code 9."""
    window = {
        "kernel": (1, 3), "dilation": (1, 1), "stride": (1, 2), "padding": (0, 1), "pad_code": 9,
        "size": (1, 2),
    }  # fmt: skip
    image = np.array([[[1, 2, 3, 4]]], np.uint8)
    assert layout.unfold(window, image).tolist() == [[[9, 2]], [[1, 3]], [[2, 4]]]
    window["size"] = (1, 3)  # padding right alone
    assert layout.unfold(window, image).tolist() == [[[9, 2, 4]], [[1, 3, 9]], [[2, 4, 9]]]
    window |= {"dilation": (1, 2), "size": (1, 1)}
    assert layout.unfold(window, image).tolist() == [[[9]], [[2]], [[4]]]


def _first_layer(channels: int, groups: int = 1) -> NetworkBuilder:
    net = NetworkBuilder(random.Random(2), (channels, 12, 12), 4)
    net.linear(net.conv3x3("image", 8, groups=groups), 4)
    return net


def test_an_image_of_one_channel_is_unfolded_to_fill_the_lanes() -> None:
    network = _first_layer(1).build()
    config = NpuConfig(pixels=1, lanes=8, columns=8, weight_digit_bits=4, post_units=8)
    config = dataclasses.replace(config, **minimal_depths(network, config))
    planned = plan(network, config)
    window = planned.schedule.window
    assert window is not None
    assert window.unfolded_shape == (3, 12, 12)
    # Three taps of three input-channel lanes, not nine taps of one; still one stream beat a pixel.
    assert planned.layers[0].cycles < 12 * 12 * 4
    assert planned.steps[0].cycles < 12 * 12 + 20
    check_against_reference(network, compile_network(network, config), images=2)


def test_full_lanes_and_shared_or_grouped_inputs_stay_as_they_are() -> None:
    config = NpuConfig(lanes=8, columns=8, weight_depth=4096, accumulator_bits=24)
    full = _first_layer(8).build()
    assert plan(full, config).schedule.window is None
    assert len(list(unfoldings(_first_layer(4, groups=4).build()))) == 1
    shared = NetworkBuilder(random.Random(2), (1, 6, 6), 4)
    parts = [shared.conv3x3("image", 4) for _ in range(2)]
    shared.linear(shared.concat(parts), 4)
    assert len(list(unfoldings(shared.build()))) == 1
