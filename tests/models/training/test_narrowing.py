"""Training with fewer weight bits in the last output channels of a layer gives such weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models.errors import ModelError
from models.integer.lower import lower
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from models.training.loop import train
from models.training.narrowing import Narrow
from models.training.trained import TrainedNetwork
from tests.models.training.test_training import CNN, QUICK, digits, few

__all__ = ["digits", "few"]  # fixtures

PLAN = dataclasses.replace(QUICK, narrow=(Narrow("conv2d2", 16, 2), Narrow("conv2d4", 0, 3)))


@pytest.mark.parametrize("sparsity", [None, Sparsity(2, 4)])
def test_trained_weights_have_those_bits_also_when_loaded_again(few, tmp_path, sparsity):
    quantisation = Quantisation(4, QuantSpec(4, 4, sparsity))
    trained = train(CNN, quantisation, few, PLAN)
    trained.save(tmp_path / "net")
    loaded = TrainedNetwork.load(tmp_path / "net")  # which knows of no narrow channels
    weights, again = (
        {layer.name: layer.sources[0].weights for layer in lower(network, 8)[1].mac_layers}
        for network in (trained, loaded)
    )
    assert np.abs(weights["conv2d2"][16:]).max() == 1
    assert np.abs(weights["conv2d2"][:16]).max() > 3
    assert np.abs(weights["conv2d4"]).max() == 3
    for name, values in weights.items():
        np.testing.assert_array_equal(values, again[name])
    assert loaded.evaluate(few.validation) == trained.validation_accuracy


@pytest.mark.parametrize(
    "spec, message",
    [
        (Narrow("conv", 0, 2), "fewer digits: no layer 'conv' has weights; .*known: conv2d1, "),
        (Narrow("conv2d1", 0, 4), "layer conv2d1: fewer bits are 2..3, not 4"),
        (Narrow("conv2d1", 0, 1), "layer conv2d1: fewer bits are 2..3, not 1"),
        (Narrow("linear6", 0, 2), "layer linear6: the output layer has one scale"),
    ],
)
def test_layers_and_bits_that_cannot_be_narrowed_are_refused(few, spec, message):
    plan = dataclasses.replace(PLAN, narrow=(spec,))
    with pytest.raises(ModelError, match=message):
        train(CNN, Quantisation(4, QuantSpec(4, 4)), few, plan)
