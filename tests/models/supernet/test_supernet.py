"""A supernet's networks share the weights of the largest one, and training improves them all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.data import datasets
from models.data.datasets import Split
from models.errors import ModelError
from models.graph.layers import Conv2d, GlobalPool, LayerSpec, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.supernet.network import Statistics, Subnet, Supernet, best_scale
from models.supernet.training import SupernetSettings, judge, train


def graph(channels: int, kernel: int = 3, average: bool = False) -> NetworkGraph:
    conv = Conv2d(
        channels, (kernel, kernel), padding=(kernel // 2, kernel // 2), batch_norm=True, relu=True
    )
    head: list[LayerSpec] = [GlobalPool("avg")] if average else []
    return sequential("net", (1, 8, 8), conv, MaxPool((2, 2), (2, 2)), *head, Linear(10))


def supernet() -> Supernet:
    torch.manual_seed(0)
    return Supernet([graph(8, 5), graph(8, 5, average=True)])


PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8)).astype(np.uint8))


def test_a_small_network_is_the_first_channels_and_the_centre_of_the_kernel():
    shared, small = supernet(), graph(4, 3)
    subnet = Subnet(small, None)
    before = shared.tensors(PIXELS, subnet)["conv2d1"]
    with torch.no_grad():
        weight = shared.layers["/conv2d1"].weight
        weight[4:] = 7.0
        weight[:, :, 0] = weight[:, :, -1] = 7.0
        weight[:, :, :, 0] = weight[:, :, :, -1] = 7.0
    assert torch.equal(shared.tensors(PIXELS, subnet)["conv2d1"], before)
    with torch.no_grad():
        weight[0, 0, 2, 2] += 1
    assert not torch.equal(shared.tensors(PIXELS, subnet)["conv2d1"], before)


def test_heads_behind_other_maps_have_weights_of_their_own():
    keys = {key for key in supernet().layers if "linear" in key}
    assert keys == {"/linear3/4x4", "/linear4/global_pool3/4x4"}


def test_a_network_that_is_too_large_is_refused():
    with pytest.raises(ModelError, match="larger than the shared weights"):
        supernet()(PIXELS, Subnet(graph(16), None))


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_tensors_and_weights_have_no_more_values_than_their_bits_allow(bits):
    quantisation = Quantisation(input_bits=4, default=QuantSpec(bits, bits))
    tensors = supernet().tensors(PIXELS, Subnet(graph(8), quantisation))
    assert len(torch.unique(tensors["conv2d1"])) <= 1 << bits
    assert len(torch.unique(tensors["input"])) <= 16


def test_known_statistics_make_an_image_independent_of_its_batch():
    shared, subnet = supernet(), Subnet(graph(8), Quantisation())
    seen = Statistics()
    shared(PIXELS, subnet, None, seen)
    whole = shared(PIXELS, subnet, seen)
    torch.testing.assert_close(shared(PIXELS[:1], subnet, seen), whole[:1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(shared(PIXELS, subnet), whole, atol=1e-3, rtol=1e-3)


def test_scales_minimise_the_squared_error_on_normal_values():
    """Known optima of uniform quantisers (Max, 1960): 4 and 16 levels, signed."""
    assert best_scale(0, 1) == pytest.approx(1.22, abs=0.1)
    values = torch.randn(20000, generator=torch.Generator().manual_seed(0))

    def loss(scale: float) -> float:
        codes = torch.clamp(torch.floor(values / scale + 0.5), -7, 7)
        return float((codes * scale - values).square().mean())

    best = best_scale(-7, 7)
    assert loss(best) < min(loss(0.8 * best), loss(1.25 * best))


def test_training_raises_the_accuracy_of_large_and_small_networks():
    dataset = datasets.load("digits")
    calibration = dataset.train.take(np.arange(400))
    shared = supernet()
    subnet = Subnet(graph(8, 5), Quantisation(input_bits=4))
    fresh = judge(shared, subnet, calibration, dataset.validation)
    small = Subnet(graph(4), Quantisation(input_bits=4))
    train(shared, lambda step: (subnet, small)[step % 2], dataset, SupernetSettings(300))
    for one in (subnet, small):
        found = judge(shared, one, calibration, dataset.validation)
        assert found.accuracy > 0.8 > 0.5 > fresh.accuracy
        assert found.loss < fresh.loss
        assert found.refit_accuracy > 0.8


def test_the_same_seed_trains_the_same_weights():
    dataset = datasets.load("digits")

    def weights() -> torch.Tensor:
        shared = supernet()
        train(shared, lambda _: Subnet(graph(8), Quantisation()), dataset, SupernetSettings(6))
        return shared.layers["/conv2d1"].weight.detach()

    assert torch.equal(weights(), weights())


def test_the_refitted_classifier_needs_no_trained_one():
    """Labels follow from the pixels: ridge regression finds them on untrained features."""
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 600)
    images = random.integers(0, 60, (600, 1, 8, 8))
    images[labels == 1, :, :4] += 150
    split = Split(images.astype(np.uint8), labels)
    parts = split.take(np.arange(300)), split.take(np.arange(300, 600))
    assert judge(supernet(), Subnet(graph(8), None), *parts).refit_accuracy > 0.95


def test_signed_activations_of_one_bit_are_numbers():
    chain = sequential("net", (1, 8, 8), Conv2d(4, (3, 3)), Linear(10))
    subnet = Subnet(chain, Quantisation(default=QuantSpec(activation_bits=1)))
    tensors = Supernet([chain]).tensors(PIXELS, subnet)
    assert torch.isfinite(tensors["linear2"]).all()
    assert len(tensors["conv2d1"].unique()) == 2
