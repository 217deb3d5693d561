"""1-bits and zero blocks of weights are counted exactly, and training under a price has fewer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.arithmetic import weight_range
from models.errors import ModelError
from models.graph.layers import Conv2d, Linear
from models.graph.network import sequential
from models.integer import bits
from models.integer.lower import lower
from models.integer.network import MacLayer, Source
from models.quantisation.blocks import BlockShape
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train
from models.training.losses import ones_per_weight
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings
from tests.models.strategies import untrained
from tests.models.training.test_training import CNN, QUICK, digits, few

__all__ = ["digits", "few"]  # fixtures

RUNS = settings(max_examples=60, derandomize=True, deadline=None)
SMALL = sequential("small", (4, 4, 4), Conv2d(8, (3, 3), groups=2, relu=True), Linear(3))


@st.composite
def _layers(draw: st.DrawFn) -> MacLayer:
    weight_bits = draw(st.integers(1, 8))
    low, high = weight_range(weight_bits)
    shape = draw(st.tuples(*(st.integers(1, most) for most in (6, 6, 2, 2))))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    weights = random.integers(low, high + 1, shape) * (random.random(shape) < draw(st.floats(0, 1)))
    weights &= draw(st.sampled_from([-1, -2, -4]))  # whole digits of zeros
    weights = np.maximum(weights, low)
    zeros = np.zeros(shape[0], np.int64)
    return MacLayer(
        name="c", op="conv2d", sources=(Source("x", weights),), output="c", groups=1,
        stride=(1, 1), padding=(0, 0), pad_code=0, weight_bits=weight_bits, bias=zeros,
        requant_multiplier=zeros, requant_shift=zeros,
    )  # fmt: skip


@RUNS
@given(_layers(), st.sampled_from([1, 2, 4, 8]), st.builds(BlockShape, *[st.integers(1, 4)] * 2))
def test_counts_are_those_of_the_weights_written_out(layer, digit_bits, block):
    weights = layer.sources[0].weights
    width = max(layer.weight_bits, 2)
    planes = -(-width // digit_bits)
    found = bits.layer_bits(layer, block, digit_bits)
    plain = weights.ravel().tolist()
    assert found.weights == len(plain)
    assert found.zero_weights == plain.count(0)
    assert found.ones == bits.ones(weights) == sum(f"{abs(w):b}".count("1") for w in plain)
    assert found.stored_ones == sum(f"{w % 2**width:b}".count("1") for w in plain)
    assert found.planes == planes
    texts = [f"{w % 2 ** (planes * digit_bits):0{planes * digit_bits}b}" for w in plain]
    cuts = [slice(i * digit_bits, (i + 1) * digit_bits) for i in range(planes)]
    assert found.zero_planes == sum(all("1" not in t[cut] for t in texts) for cut in cuts)
    assert found.words == found.blocks * planes
    assert found.zero_blocks * planes <= found.zero_words <= found.words
    single = bits.layer_bits(layer, BlockShape(1, 1), digit_bits)
    assert single.zero_words == sum("1" not in t[cut] for t in texts for cut in cuts)
    none = bits.layer_bits(layer, None, digit_bits)
    assert (none.blocks, none.zero_blocks, none.words, none.zero_words) == (0, 0, 0, 0)


def test_digits_give_the_weights_back():
    weights = np.arange(-127, 128)
    for digit_bits in (1, 2, 4, 8):
        planes = bits.digits(weights, 8, digit_bits)
        unsigned = sum(plane << (digit_bits * i) for i, plane in enumerate(planes))
        np.testing.assert_array_equal(unsigned, weights % 256)


def test_a_network_is_the_sum_of_its_layers():
    _, integer = lower(untrained(SMALL, Quantisation(default=QuantSpec(4, 4)), 0), 8)
    found = bits.network_bits(integer, {"linear2": BlockShape(3, 4)}, 2)
    assert list(found) == ["conv2d1", "linear2"]
    total = bits.total(found.values())
    assert total.weights == 8 * 2 * 9 + 3 * 8 * 4
    assert total.ones == sum(bits.ones(layer.sources[0].weights) for layer in integer.mac_layers)
    assert (found["conv2d1"].blocks, total.blocks) == (0, 2 * 4)
    assert total.ones_per_weight == total.ones / total.weights


# The price -----------------------------------------------------------------------------------


def _network(weight_bits: int) -> QuantNetwork:
    network = QuantNetwork(SMALL, Quantisation(default=QuantSpec(weight_bits, 4)))
    network.quantise()
    for layer in network.weight_layers:
        torch.nn.init.constant_(layer.quantiser.log_scale, -1.0)
    return network


@pytest.mark.parametrize("weight_bits", range(2, 9))
def test_the_price_is_exact_at_integers(weight_bits):
    network = _network(weight_bits)
    low, high = weight_range(weight_bits)
    exact = count = 0
    for seed, layer in enumerate(network.weight_layers):
        codes = np.random.default_rng(seed).integers(low, high + 1, tuple(layer.weight.shape))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(codes) * layer.quantiser.scale)
        exact, count = exact + bits.ones(codes), count + codes.size
    price = ones_per_weight(network.weight_layers).item()
    assert price == pytest.approx(exact / count, abs=1e-4)


def test_the_price_drives_each_weight_to_fewer_ones():
    """The gradient moves 0.5 to 0, 3.5 and 4.5 to 4 (one 1-bit), and does not move 1.5 or 9.

    Both neighbours of 1.5 have one 1-bit; 9 is beyond the range of 4 bits.
    """
    network = _network(4)
    layer = network.weight_layers[0]
    scale = float(layer.quantiser.scale[0])
    sizes = torch.tensor([0.5, 3.5, 4.5, 1.5, 9.0])
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight.view(-1)[:10] = torch.cat([sizes, -sizes]) * scale
    ones_per_weight(network.weight_layers).backward()
    downhill = -torch.sign(layer.weight.grad.flatten())
    assert downhill[:5].tolist() == [-1, 1, -1, 0, 0]
    assert downhill[5:10].tolist() == [1, -1, 1, 0, 0]
    assert not downhill[10:].any()
    assert layer.quantiser.log_scale.grad is None


def test_weights_of_one_bit_cost_nothing():
    assert float(ones_per_weight(_network(1).weight_layers)) == 0


def test_training_under_a_price_leaves_fewer_ones(few):
    counts = []
    for boo in (0.0, 10.0):
        plan = dataclasses.replace(QUICK, epochs=8, batch_size=16, boo=boo)
        _, integer = lower(train(CNN, Quantisation(4, QuantSpec(4, 4)), few, plan), 8)
        counts.append(bits.total(bits.network_bits(integer, {}, 1).values()).ones)
    assert counts[1] < 0.8 * counts[0]


def test_a_price_out_of_range_is_refused():
    with pytest.raises(ModelError, match=r"train.boo must be 0.0..1000.0, not -1"):
        TrainSettings(boo=-1)
