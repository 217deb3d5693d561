"""Calibration of float networks: near the float network, exact in integers, errors that say why."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.calibration import calibrating, inputs, loading
from models.calibration.calibrating import calibrate
from models.data.values import InputRange
from models.errors import ModelError
from models.graph.layers import Concat, Conv2d, GlobalPool, Input, Linear, Relu
from models.graph.network import Layer, NetworkGraph
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.trained import TrainedNetwork
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

EIGHT = Quantisation(8, QuantSpec(8, 8))
SPLIT = examples(RESIDUAL)


def error(weight_bits: int, activation_bits: int = 8, values: InputRange = UNIT) -> float:
    """Return the error of the logits relative to their spread."""
    fitted = inputs.fit(floating(RESIDUAL), values)
    bits = QuantSpec(weight_bits, activation_bits)
    quantisation = Quantisation(8, bits, input_zero_point=fitted.zero_point)
    trained = calibrate(fitted.network, quantisation, SPLIT.images)
    other = examples(RESIDUAL, seed=2).images
    with torch.no_grad():
        images = torch.from_numpy(other)
        real = loading.load(fitted.network, quantisation)(images)
        found = trained.network(images)
    _, network = lower(trained, 8)
    integers = network.real(reference.predict(network, other))
    assert np.abs(integers - found.numpy()).mean() < 0.05 * float(real.std())
    return float((found - real).std() / real.std())


def test_8_bits_are_near_the_float_network_and_fewer_are_not() -> None:
    found = [error(8), error(6), error(4), error(4, 4)]
    assert found[0] < 0.03
    assert found == sorted(found)
    assert found[2] > 3 * found[0]


def test_a_normalised_input_that_is_padded() -> None:
    assert error(8, values=InputRange((-1.9, -2.0, -1.7), (2.1, 2.1, 2.0))) < 0.05


def test_weight_scales_need_no_rounding_of_multipliers() -> None:
    fitted = inputs.fit(floating(RESIDUAL), UNIT)
    network = calibrate(fitted.network, EIGHT, SPLIT.images).network
    for node in network.nodes:
        if node.name in ("first", "deep", "point"):
            module = network.weight_layer(node.name)
            ratio = node.in_quantisers[0].scale * module.quantiser.scale / node.quantiser.scale
            multiplier = ratio * torch.exp2(7 - torch.floor(torch.log2(ratio)))
            np.testing.assert_allclose(multiplier, torch.round(multiplier), atol=1e-3)


def test_biases_make_up_for_the_mean_of_rounding() -> None:
    fitted = inputs.fit(floating(RESIDUAL), UNIT)
    quantisation = Quantisation(8, QuantSpec(3, 8))
    network = calibrate(fitted.network, quantisation, SPLIT.images).network
    real = loading.load(fitted.network, quantisation)
    with torch.no_grad():
        images = torch.from_numpy(SPLIT.images)
        lack = real(images).mean(dim=0) - network(images).mean(dim=0)
        last = network.weight_layer("classes")
        unit = float(network.quantiser("mean").scale * last.quantiser.scale)  # biases are rounded
        last.bias.copy_(real.weight_layer("classes").bias)
        uncorrected = real(images).mean(dim=0) - network(images).mean(dim=0)
    assert lack.abs().max() < 0.51 * unit < uncorrected.abs().max()


@pytest.mark.parametrize("ceiling", [0.3, 1.0])
def test_an_upper_clip_holds_in_float_and_in_codes(ceiling: float) -> None:
    fitted = inputs.fit(floating(RESIDUAL, ceilings={"first": ceiling}), UNIT)
    real = loading.load(fitted.network, EIGHT)
    trained = calibrate(fitted.network, EIGHT, SPLIT.images)
    with torch.no_grad():
        images = torch.from_numpy(SPLIT.images)
        values = real.tensors(images)["first"]
        codes = trained.network.tensors(images)["first"]
    assert values.max() == pytest.approx(ceiling)
    assert codes.max() <= ceiling * (1 + 1e-6)


def clipped(*ceilings: str) -> None:
    """Load two layers that share a scale, and a ReLU that is fused, clipped as told."""
    graph = NetworkGraph(
        "clipped",
        [
            Layer("input", Input((2, 4, 4))),
            Layer("a", Conv2d(2, (1, 1), relu=True), ("input",)),
            Layer("b", Conv2d(2, (1, 1)), ("input",)),
            Layer("r", Relu(), ("b",)),
            Layer("both", Concat(), ("a", "r")),
            Layer("mean", GlobalPool(), ("both",)),
            Layer("classes", Linear(2), ("mean",)),
        ],
    )
    loading.load(floating(graph, ceilings=dict.fromkeys(ceilings, 6.0)), EIGHT)


def test_clips_that_a_scale_cannot_keep_are_refused() -> None:
    clipped("a", "r")
    with pytest.raises(ModelError, match="clips at another value"):
        clipped("r")


def test_bad_images_and_weights_are_refused() -> None:
    network = inputs.fit(floating(RESIDUAL), UNIT).network
    with pytest.raises(ModelError, match=r"shape \(3, 12, 11\), the network takes \(3, 12, 12\)"):
        calibrate(network, EIGHT, SPLIT.images[..., :11])
    with pytest.raises(ModelError, match="5 images are too few"):
        calibrate(network, EIGHT, SPLIT.images[:5])
    network.weights["point.weight"][0] = np.nan
    with pytest.raises(ModelError, match="layer point: its weight holds NaN"):
        calibrate(network, EIGHT, SPLIT.images)


def test_images_are_drawn_from_all_over_and_fewer_for_large_networks() -> None:
    labels = np.repeat(np.arange(10), 200)
    split = dataclasses.replace(SPLIT, images=np.zeros((2000, 1, 1, 1), np.uint8), labels=labels)
    drawn = calibrating.draw(split, floating(RESIDUAL))
    assert len(drawn) == calibrating.MOST_IMAGES
    assert len(np.unique(drawn.labels)) == 10
    large = NetworkGraph("large", [Layer("input", Input((16, 1024, 1024)))])
    few = calibrating.draw(split, dataclasses.replace(floating(RESIDUAL), graph=large))
    assert len(few) == calibrating.LEAST_IMAGES


def test_a_calibrated_network_is_stored_and_read(tmp_path) -> None:
    fitted = inputs.fit(floating(RESIDUAL), InputRange.of(-1, 1))
    quantisation = Quantisation(8, QuantSpec(6, 8), input_zero_point=fitted.zero_point)
    trained = calibrate(fitted.network, quantisation, SPLIT.images)
    trained.save(tmp_path / "w")
    again = TrainedNetwork.load(tmp_path / "w")
    assert again.history == ()
    assert again.quantisation == quantisation
    with torch.no_grad():
        images = torch.from_numpy(SPLIT.images)
        assert torch.equal(again.network(images), trained.network(images))
