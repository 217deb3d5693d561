"""Learned thresholds: codes count them, gradients are those of even steps until they move."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.data import datasets
from models.errors import ModelError
from models.graph.layers import Activation, Add, Concat, Conv2d, Input, Linear, MaxPool
from models.graph.network import Layer, NetworkGraph, sequential
from models.graph.passes import legalise
from models.integer import files, reference
from models.integer.lower import lower, shape_only
from models.integer.thaw import thaw
from models.quantisation.fake_quantisers import ActivationQuantiser
from models.quantisation.learned_thresholds import ThresholdQuantiser
from models.quantisation.plan import Quantisation, QuantSpec, threshold_layers
from models.training.loop import train
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork
from tests.models.strategies import untrained

CONV = Conv2d(6, (3, 3), padding=(1, 1), batch_norm=True, relu=True)
SMALL = sequential("small", (1, 8, 8), CONV, MaxPool((2, 2), (2, 2)), CONV, Linear(10))
LEARNED = Quantisation(4, QuantSpec(2, 2), learned_thresholds=True)


def moved(bits: int, channels: int, seed: int = 0) -> ThresholdQuantiser:
    """Return a quantiser of any scale and thresholds."""
    quantiser = ThresholdQuantiser(bits, channels)
    torch.manual_seed(seed)
    with torch.no_grad():
        quantiser.log_scale.fill_(-1.3)
        quantiser.log_gaps.add_(torch.randn_like(quantiser.log_gaps))
    return quantiser


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_at_first_they_are_even_steps_in_values_and_gradients(bits: int) -> None:
    even, own = ActivationQuantiser(bits, signed=False), ThresholdQuantiser(bits, 5)
    torch.manual_seed(bits)
    values = 3 * torch.randn(4, 5, 6, 6) + 1
    grads = []
    for quantiser in (even, own):
        mine = values.clone().requires_grad_()
        out = quantiser(mine)
        (out * torch.arange(out.numel()).reshape(out.shape) / 700).sum().backward()
        grads.append((out.detach(), mine.grad, quantiser.log_scale.grad))
    for first, second in zip(*grads, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_codes_count_the_thresholds_that_values_reach(bits: int) -> None:
    quantiser = moved(bits, 4)
    found = quantiser.thresholds
    assert found.shape == (4, (1 << bits) - 1)
    assert (found[:, 0] > 0).all()
    assert (found.diff(dim=1) > 0).all()
    values = torch.randn(3, 4, 9, 9)
    codes = (quantiser(values) / quantiser.scale).round()
    counted = (values[..., None].double() >= found[:, None, None]).sum(dim=-1)
    assert torch.equal(codes.long(), counted)
    assert not quantiser(-values.abs()).any()


def test_a_higher_threshold_lowers_what_is_learned_from() -> None:
    quantiser = moved(2, 3)
    between = quantiser.thresholds[:, :2].mean(dim=1).float()
    values = between.reshape(1, 3, 1, 1).expand(1, 3, 4, 4)
    quantiser(values).sum().backward()
    assert quantiser.log_gaps.grad is not None
    assert (quantiser.log_gaps.grad[:, :2] < 0).all()
    assert not quantiser.log_gaps.grad[:, 2].any()  # it lies beyond these values


def test_layers_that_cannot_have_thresholds_keep_their_steps() -> None:
    layers = (
        Layer("image", Input((3, 8, 8))),
        Layer("own", CONV, ("image",)),
        Layer("wide", CONV, ("own",)),
        Layer("signed", dataclasses.replace(CONV, relu=False), ("own",)),
        Layer("sum", Add(), ("wide", "signed")),
        Layer("left", CONV, ("sum",)),
        Layer("right", CONV, ("sum",)),
        Layer("both", Concat(), ("left", "right")),
        Layer("before", dataclasses.replace(CONV, relu=False), ("both",)),
        Layer("curve", Activation("hard_swish"), ("before",)),
        Layer("scores", Linear(4), ("curve",)),
    )
    graph = legalise(NetworkGraph("many", layers))
    bits = {"wide": QuantSpec(2, 4)}
    wanted = Quantisation(4, QuantSpec(2, 2), bits, learned_thresholds=True)
    assert threshold_layers(graph, wanted) == {"own"}
    assert not threshold_layers(graph, dataclasses.replace(wanted, learned_thresholds=False))
    blank = shape_only(graph, wanted, 8)
    assert [one.name for one in blank.mac_layers if one.thresholds is not None] == ["own"]


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    """Return a network trained so briefly that its thresholds have just moved."""
    digits = datasets.load("digits")
    few = dataclasses.replace(digits, train=digits.train.take(np.arange(300)))
    settings = TrainSettings(epochs=5, norm_share=0.5, threads=1, compile="never")
    return train(SMALL, LEARNED, few, settings)


def test_training_moves_thresholds_and_all_models_agree(trained: TrainedNetwork) -> None:
    quantiser = trained.network.quantiser("conv2d1")
    assert isinstance(quantiser, ThresholdQuantiser)
    fresh = ThresholdQuantiser(2, 6).log_gaps
    assert (quantiser.log_gaps - fresh).abs().mean() > 1e-3
    frozen, integer = lower(trained, 8)
    images = datasets.load("digits").test.images
    values = reference.run(integer, reference.quantise_input(integer, images))
    real = frozen.tensors(torch.from_numpy(images))
    for name, codes in values.items():
        same = frozen.codes(name, real[name]).reshape(codes.shape)
        assert np.array_equal(same, codes), name
    logits = trained.network(torch.from_numpy(images)).argmax(dim=1).numpy()
    assert np.mean(logits == values[integer.output.name].argmax(axis=1)) > 0.99
    # They are no even steps: those of the same scales give other codes.
    layers = tuple(dataclasses.replace(one, thresholds=None) for one in integer.mac_layers)
    even = dataclasses.replace(integer, layers=layers)
    others = reference.run(even, reference.quantise_input(even, images))
    assert any(not np.array_equal(others[name], values[name]) for name in values)


def test_they_are_stored_and_thawed(trained: TrainedNetwork, tmp_path) -> None:
    _, integer = lower(trained, 8)
    files.save(integer, tmp_path / "network.npz")
    again = files.load(tmp_path / "network.npz")
    for one, other in zip(integer.mac_layers, again.mac_layers, strict=True):
        assert np.array_equal(one.thresholds, other.thresholds)
    back = thaw(again, SMALL, LEARNED, 8)
    _, frozen = lower(TrainedNetwork(SMALL, LEARNED, back, ()), 8)
    for one, other in zip(integer.mac_layers, frozen.mac_layers, strict=True):
        assert np.array_equal(one.thresholds, other.thresholds), one.name
    none = dataclasses.replace(
        again, layers=tuple(dataclasses.replace(one, thresholds=None) for one in again.mac_layers)
    )
    with pytest.raises(ModelError, match="the integers have no learned thresholds"):
        thaw(none, SMALL, LEARNED, 8)


def test_a_stored_file_whose_thresholds_fall_is_refused(trained: TrainedNetwork, tmp_path) -> None:
    _, integer = lower(trained, 8)
    first = integer.mac_layers[0]
    assert first.thresholds is not None
    falling = dataclasses.replace(first, thresholds=first.thresholds[:, ::-1])
    wrong = dataclasses.replace(integer, layers=(falling, *integer.layers[1:]))
    files.save(wrong, tmp_path / "network.npz")
    with pytest.raises(ModelError, match="thresholds fall"):
        files.load(tmp_path / "network.npz")


def test_training_goes_on_from_even_steps_and_back(trained: TrainedNetwork) -> None:
    pixels = torch.from_numpy(datasets.load("digits").train.images[:64])
    even = untrained(SMALL, Quantisation(4, QuantSpec(2, 2)), seed=1)
    for given, quantisation in ((even, LEARNED), (trained, even.quantisation)):
        network = QuantNetwork(SMALL, quantisation)
        network.take(given.network, pixels, norms=False)
        theirs = given.network.weight_layers[1].weight
        torch.testing.assert_close(network.weight_layers[1].weight, theirs)
    same = QuantNetwork(SMALL, LEARNED)
    same.take(trained.network, pixels, norms=False)
    own, taken = (one.quantiser("conv2d1").thresholds for one in (trained.network, same))
    torch.testing.assert_close(own, taken)


def test_a_bias_between_the_codes_and_the_last_threshold_is_kept() -> None:
    """Thresholds may lie beyond the largest code: a nearly constant channel still reaches them."""
    graph = sequential("small", (1, 4, 4), Conv2d(3, (1, 1), relu=True), Linear(4))
    quantisation = Quantisation(4, QuantSpec(4, 2), learned_thresholds=True)
    torch.manual_seed(0)
    network = QuantNetwork(graph, quantisation, 8)
    pixels = torch.randint(0, 256, (20, 1, 4, 4), dtype=torch.uint8)
    network.eval()
    network.quantise(pixels.float())
    quantiser, layer = network.quantiser("conv2d1"), network.weight_layers[0]
    assert isinstance(quantiser, ThresholdQuantiser)
    scale = float(quantiser.scale)
    with torch.no_grad():
        for channel, (bias, last) in enumerate([(9.0, 8.5), (3.0, 3.5), (9.0, 8.9)]):
            layer.weight[channel] = 1e-5 * scale
            layer.bias[channel] = bias * scale
            steps = torch.diff(torch.tensor([0.0, 1.0, 2.0, last]))
            quantiser.log_gaps[channel] = torch.log(steps)
    wanted = network.tensors(pixels.float())["conv2d1"].detach() / scale
    _, integer = lower(TrainedNetwork(graph, quantisation, network, ()), 8)
    codes = reference.run(integer, reference.quantise_input(integer, pixels.numpy()))["conv2d1"]
    assert wanted.round().unique(dim=0)[0, :, 0, 0].tolist() == [3, 2, 3]
    assert (codes == wanted.round().numpy()).all()
