"""Training for accumulators of a width gives integers that keep to it, also from files."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.errors import ModelError
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.accumulators import Accumulator
from models.quantisation.plan import Quantisation, QuantSpec
from models.training import checkpoint
from models.training.loop import train
from models.training.trained import TrainedNetwork
from tests.models.training.test_training import CNN, QUICK, digits, few

__all__ = ["digits", "few"]  # fixtures

QUANTISATION = Quantisation(4, QuantSpec(4, 4))
KEPT = Accumulator(11)
PLAN = dataclasses.replace(QUICK, accumulator=KEPT, norm_share=0.5)


@pytest.fixture(scope="module")
def trained(few) -> TrainedNetwork:
    return train(CNN, QUANTISATION, few, PLAN)


def test_sums_keep_to_the_width_and_the_reference_agrees(trained, few):
    _, network = lower(trained, 8)
    for layer in network.mac_layers:
        for source in layer.sources:
            flat = source.weights.reshape(len(source.weights), -1)
            top = (1 << network.tensors[source.tensor].bits) - 1
            for part in (flat, -flat):
                assert top * np.maximum(part, 0).sum(axis=1).max(initial=0) <= KEPT.largest
        assert np.abs(layer.bias).max() <= KEPT.largest
    images = few.validation.images
    wanted = reference.predict(network, images).argmax(axis=1)
    with torch.no_grad():
        got = trained.network(torch.from_numpy(images)).argmax(dim=1).numpy()
    assert (got == wanted).mean() >= 0.99


def test_files_say_the_width(trained, few, tmp_path):
    trained.save(tmp_path / "net")
    loaded = TrainedNetwork.load(tmp_path / "net")
    assert loaded.network.accumulator == KEPT
    assert loaded.evaluate(few.validation) == trained.validation_accuracy
    for one, other in zip(
        *(lower(network, 8)[1].mac_layers for network in (trained, loaded)), strict=True
    ):
        np.testing.assert_array_equal(one.sources[0].weights, other.sources[0].weights)
        np.testing.assert_array_equal(one.bias, other.bias)


@pytest.mark.parametrize("stored", [[11], [33, 0], "11", [11.0, 0]])
def test_damaged_widths_are_refused(trained, tmp_path, stored):
    trained.save(tmp_path / "net")
    content = checkpoint.load(tmp_path / "net", {"state"})
    checkpoint.save(content | {"accumulator": stored}, tmp_path / "bad")
    with pytest.raises(ModelError, match="bad: accumulator"):
        TrainedNetwork.load(tmp_path / "bad")


def test_other_widths_are_other_runs(few):
    runs = [
        checkpoint.identity(
            CNN, QUANTISATION, few, dataclasses.replace(PLAN, accumulator=accumulator)
        )
        for accumulator in (None, KEPT, Accumulator(12), Accumulator(11, 128))
    ]
    assert len(set(runs)) == 4
