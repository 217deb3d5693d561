"""Zero-cost proxies are what their papers define, repeatable, and do not depend on bit widths."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from codesign.search.accuracy import study_data
from models.data.datasets import Split
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.supernet.proxies import PROXIES, fisher, grad_norm, naswot, proxies, snip, synflow, zen
from models.training.network import QuantNetwork


def network(channels: int = 8) -> NetworkGraph:
    conv = Conv2d(channels, (3, 3), padding=(1, 1), batch_norm=True, relu=True)
    return sequential("small", (1, 8, 8), conv, MaxPool((2, 2), (2, 2)), conv, Linear(10))


def batch(count: int = 16) -> Split:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 1, 8, 8)).astype(np.uint8)
    return Split(images, random.integers(0, 10, count))


def test_the_seed_decides_and_bits_do_not():
    first = proxies(network(), Quantisation(), batch(), 3)
    torch.rand(5)  # the global generator plays no part, and is left alone
    state = torch.random.get_rng_state()
    assert proxies(network(), Quantisation(), batch(), 3) == first
    assert torch.equal(torch.random.get_rng_state(), state)
    other_bits = Quantisation(default=QuantSpec(2, 2))
    assert proxies(network(), other_bits, batch(), 3) == first
    other = proxies(network(), Quantisation(), batch(), 4)
    assert all(other[name] != first[name] for name in PROXIES)
    assert all(math.isfinite(value) for value in first.values())


@pytest.mark.parametrize("name", ["synflow", "naswot", "zen"])
def test_more_channels_score_higher(name):
    small, large = (proxies(network(n), Quantisation(), batch(), 0)[name] for n in (2, 24))
    assert large > small


def one_layer(weights: list[float]) -> QuantNetwork:
    net = QuantNetwork(sequential("one", (1, 1, 2), Linear(2)), Quantisation())
    with torch.no_grad():
        net.weight_layers[0].weight.copy_(torch.tensor(weights).reshape(2, 1, 1, 2))
    return net


PIXELS = torch.full((1, 1, 1, 2), 255, dtype=torch.uint8)
"""An image of two pixels with value 1."""


def test_synflow_of_one_layer_is_the_sum_of_magnitudes():
    net = one_layer([1.0, -2.0, 3.0, -4.0])
    assert synflow(net, (PIXELS, torch.zeros(1, dtype=torch.int64))) == pytest.approx(math.log(10))


def test_snip_of_one_layer_by_hand():
    # Logits 1 and 1: the gradient of each logit is -0.5 and 0.5, inputs are 1.
    net = one_layer([3.0, -2.0, 0.0, 1.0])
    expected = math.log(0.5 * (3 + 2 + 0 + 1))
    assert snip(net, (PIXELS, torch.zeros(1, dtype=torch.int64))) == pytest.approx(expected)


def test_grad_norm_and_fisher_of_one_layer_by_hand():
    """The hidden layer puts out 1 and 2, and the logits are equal."""
    linear = Linear(2, relu=True)
    net = QuantNetwork(sequential("two", (1, 1, 2), linear, Linear(2)), Quantisation())
    with torch.no_grad():
        for layer, weights in zip(net.weight_layers, ([1, 0, 1, 1], [1, 1, 1, 1]), strict=True):
            layer.weight.copy_(torch.tensor(weights).reshape(layer.weight.shape))
        net.weight_layers[1].weight[0] = torch.tensor([3.0, 0.0]).reshape(2, 1, 1)
    labels = torch.zeros(1, dtype=torch.int64)
    # Logits 3 and 3; their gradient is (-0.5, 0.5), that of the hidden outputs (-1, 0.5).
    hidden = torch.tensor([-1.0, -1.0, 0.5, 0.5]).norm()
    last = torch.tensor([-0.5, -1.0, 0.5, 1.0]).norm()
    assert grad_norm(net, (PIXELS, labels)) == pytest.approx(math.log(float(hidden + last)))
    assert fisher(net, (PIXELS, labels)) == pytest.approx(math.log((1**2 + 1**2) / 2))


def test_naswot_of_equal_images_is_the_lowest():
    images = torch.from_numpy(batch(4).images)
    same = images[:1].expand(4, -1, -1, -1)
    labels = torch.zeros(4, dtype=torch.int64)
    torch.manual_seed(0)
    net = QuantNetwork(network(), Quantisation()).train()
    assert naswot(net, (same, labels)) < naswot(net, (images, labels))


def test_zen_does_not_see_the_scale_of_weights_before_a_batch_norm():
    def score(factor: float) -> float:
        torch.manual_seed(1)
        net = QuantNetwork(network(), Quantisation()).train()
        with torch.no_grad():
            net.weight_layers[0].weight.mul_(factor)
        return zen(net, (torch.zeros(64, 1, 8, 8), torch.zeros(64)))

    # What batch norm takes away, its deviation puts back.
    assert score(8.0) == pytest.approx(score(1.0) + math.log(8.0), abs=0.02)


def test_every_proxy_has_a_column():
    names = {field.name for field in dataclasses.fields(study_data.Description)}
    assert set(PROXIES) <= names
