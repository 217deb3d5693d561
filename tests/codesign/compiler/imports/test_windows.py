"""Windows with uneven padding and dilation: twin, reference, closed form and PyTorch agree.

Padding is never written into a program: where windows end follows from the output's shape.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.compiler import compile_network, minimal_depths
from models.arithmetic import requantise
from models.graph.layers import AvgPool, Conv2d, MaxPool
from models.graph.windows import sides
from models.integer import reference
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from tests.codesign.compiler.network_builder import NetworkBuilder
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.cost.closed_form import check_closed_form

RUNS = settings(max_examples=40, deadline=None, derandomize=True, database=None)


def uneven(pick: random.Random, *, deep: bool = False) -> IntegerNetwork:
    """Return a network of three layers with uneven padding and dilation, and any zero point."""
    channels = pick.randint(1, 5)
    net = NetworkBuilder(pick, (channels, pick.randint(6, 11), pick.randint(6, 11)), 4,
                         zero_point=pick.randrange(16))  # fmt: skip
    last = "image"
    for index in range(3):
        dilation = (pick.randint(1, 3), pick.randint(1, 3)) if index < 2 else (1, 1)
        paddings = [pick.randint(0, 2 * gap) for gap in (*dilation, *dilation)]
        size = net.tensors[last].shape[1:]
        kernel = tuple(3 if size[i] > 2 * dilation[i] else 1 for i in (0, 1))
        groups = net.channels(last) if deep or pick.random() < 0.3 else 1
        last = net.conv(
            last, groups if groups > 1 else pick.randint(1, 6), kernel, dilation=dilation,
            groups=groups,
            padding=tuple(paddings[i] if kernel[i] > 1 else 0 for i in (0, 1)),
            after=tuple(paddings[2 + i] if kernel[i] > 1 else 0 for i in (0, 1)),
            stride=(pick.randint(1, 2), pick.randint(1, 2)), zero_point=pick.randrange(16),
        )  # fmt: skip
    net.linear(last, 4)
    return net.build()


def npu(pick: random.Random, network: IntegerNetwork) -> NpuConfig:
    lanes = pick.choice([4, 6, 8])
    config = NpuConfig(
        pixels=pick.randint(1, 4), lanes=lanes, columns=lanes * pick.randint(1, 2),
        weight_digit_bits=pick.choice([1, 2, 4]), post_units=2, accumulator_bits=24,
        depthwise_taps=pick.choice([1, 3]),
    )  # fmt: skip
    return dataclasses.replace(config, **minimal_depths(network, config))


@RUNS
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_cycles_are_those_of_the_closed_form(seed: int, deep: bool) -> None:
    pick = random.Random(seed)
    network = uneven(pick, deep=deep)
    config = npu(pick, network)
    compiled = compile_network(network, config)
    check_against_reference(network, compiled, images=2, seed=seed)
    roomy = dataclasses.replace(config, activation_depth=4096, weight_depth=4096)
    check_closed_form(network, [roomy])


@pytest.mark.parametrize("seed", [3, 4])
def test_the_rtl_computes_the_same(seed: int) -> None:
    pick = random.Random(seed)
    network = uneven(pick)
    check_on_the_rtl(network, compile_network(network, npu(pick, network)), seed, stall=0.2)


@RUNS
@given(st.data())
def test_the_reference_computes_what_torch_does(data: st.DataObject) -> None:
    """One convolution with four paddings, dilation and zero points, in real numbers."""
    pick = random.Random(data.draw(st.integers(0, 2**16)))
    net = NetworkBuilder(pick, (2, 8, 7), 4, zero_point=pick.randrange(16))
    dilation = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 2))
    padding = tuple(data.draw(st.integers(0, 2 * gap)) for gap in (*dilation, *dilation))
    spec = Conv2d(3, (3, 3), (data.draw(st.integers(1, 2)), 1), padding, dilation=dilation)
    top, left, bottom, right = sides(spec.padding)
    out = net.conv(
        "image", 3, (3, 3), stride=spec.stride, padding=(top, left), after=(bottom, right),
        dilation=dilation, zero_point=pick.randrange(16),
    )  # fmt: skip
    network = net.build()
    assert network.tensors[out].shape == spec.output_shape([(2, 8, 7)])
    codes = np.random.default_rng(0).integers(0, 16, (2, 2, 8, 7), np.uint8)
    (layer,) = network.mac_layers
    real = torch.from_numpy(codes.astype(float) - network.tensors["image"].zero_point)
    padded = F.pad(real, (left, right, top, bottom))
    acc = F.conv2d(padded, torch.from_numpy(layer.sources[0].weights).double(),
                   torch.from_numpy(layer.bias).double(), spec.stride, 0, dilation)  # fmt: skip
    wanted = requantise(
        acc.numpy().astype(np.int64), layer.requant_multiplier[:, None, None],
        layer.requant_shift[:, None, None], network.tensors[out].zero_point, 4,
    )  # fmt: skip
    found = reference._mac_layer(layer, network.tensors, {"image": codes.astype(np.int64)})
    np.testing.assert_array_equal(found, wanted)


@RUNS
@given(st.data())
def test_shapes_and_averages_of_pools_are_those_of_torch(data: st.DataObject) -> None:
    kernel, stride = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    padding, ceil = data.draw(st.integers(0, kernel // 2)), data.draw(st.booleans())
    include = data.draw(st.booleans())
    size = data.draw(st.integers(kernel, 9))
    image = torch.rand(1, 1, size, size, dtype=torch.float64)
    pools = F.max_pool2d(image, kernel, stride, padding, 1, ceil)
    most = MaxPool((kernel, kernel), (stride, stride), (padding, padding), ceil)
    assert most.output_shape([(1, size, size)]) == tuple(pools.shape[1:])
    pools = F.avg_pool2d(image, kernel, stride, padding, ceil, include)
    mean = AvgPool((kernel, kernel), (stride, stride), (padding, padding), ceil, include)
    ones = F.avg_pool2d(torch.ones_like(image), kernel, stride, padding, ceil, include)
    rows, cols = mean.axes((1, size, size))
    numbers = np.outer(rows.divisors(include), cols.divisors(include))
    inside = np.outer(rows.divisors(False), cols.divisors(False))
    np.testing.assert_allclose(ones[0, 0].numpy(), inside / numbers)
    assert (rows.count, cols.count) == tuple(pools.shape[2:])
