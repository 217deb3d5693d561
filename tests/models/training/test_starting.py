"""Trainings that go on from a trained network, with other bits and with batch norms anew."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.data import datasets
from models.data.datasets import Dataset
from models.errors import ModelError
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import sequential
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train
from models.training.losses import Start
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings
from tests.models.strategies import graphs

CONV = Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True)
NETWORK = sequential("starting", (1, 8, 8), CONV, MaxPool((2, 2), (2, 2)), CONV, Linear(10))
FOUR, TWO = Quantisation(4, QuantSpec(4, 4)), Quantisation(4, QuantSpec(2, 2))
SETTINGS = TrainSettings(epochs=4, norm_share=0.5, threads=1, compile="never")


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Return the digits with 200 training images."""
    digits = datasets.load("digits")
    chosen = np.random.default_rng(0).permutation(len(digits.train))[:200]
    return dataclasses.replace(digits, train=digits.train.take(chosen))


@pytest.fixture(scope="module")
def first(few: Dataset) -> QuantNetwork:
    """Return a trained network of 4 bits."""
    return train(NETWORK, FOUR, few, dataclasses.replace(SETTINGS, epochs=8)).network


@settings(max_examples=25, derandomize=True, deadline=None)
@given(graphs(), st.integers(0, 2**16))
def test_batch_norms_that_come_back_change_no_code(graph, seed):
    """On the images that they are estimated on, every sum is as before, but for rounding."""
    torch.manual_seed(seed)
    bits, pixels = Quantisation(4, QuantSpec(3, 4)), torch.randint(
        0, 256, (4, *graph.shapes[graph.input.name])
    )  # fmt: skip
    folded = QuantNetwork(graph, bits)
    for layer in folded.weight_layers:
        nn.init.uniform_(layer.bias, -0.1, 0.1)
    folded.eval().quantise(pixels)
    network = QuantNetwork(graph, bits)
    network.take(folded, pixels, norms=True)
    assert [layer.batch_norm is not None for layer in network.weight_layers] == [
        layer.spec.batch_norm and not layer.last for layer in network.weight_layers
    ]
    inputs = folded.tensors(pixels)
    for node, kept in zip(network.nodes, folded.nodes, strict=True):
        if kept.module in folded.weight_layers:
            values = [inputs[name] for name in node.inputs]
            scales = [quantiser.scale for quantiser in node.in_quantisers]
            before = kept.module.quantised(values, scales, None)
            after = node.module.eval().quantised(values, scales, None)
            unit = (scales[0] * kept.module.quantiser.scale).max()
            torch.testing.assert_close(after, before, atol=float(unit), rtol=1e-3)


def test_few_bits_start_from_more(few, first):
    """After as few epochs they are better than from random weights."""
    alone = train(NETWORK, TWO, few, SETTINGS)
    started = train(NETWORK, TWO, few, SETTINGS, start=Start(first))
    assert not any(epoch.quantised for epoch in started.history[:2])  # between norms
    assert started.validation_accuracy > alone.validation_accuracy + 0.1


def test_an_interrupted_training_goes_on_in_every_phase(few, first, tmp_path: Path):
    whole = train(NETWORK, TWO, few, SETTINGS, start=Start(first))
    for last in (1, 2, 3):
        path = tmp_path / str(last)

        def stop(done: int, *rest: float, last: int = last) -> None:
            if done == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(NETWORK, TWO, few, SETTINGS, start=Start(first), checkpoint=path, progress=stop)
        again = train(NETWORK, TWO, few, SETTINGS, start=Start(first), checkpoint=path)
        assert again.history == whole.history
        for name, values in whole.network.state_dict().items():
            assert torch.equal(again.network.state_dict()[name], values), name
        with pytest.raises(ModelError, match="another run"):
            train(NETWORK, TWO, few, SETTINGS, checkpoint=path)
        path.unlink()


def test_a_network_of_other_layers_is_refused(few, first):
    other = sequential("other", (1, 8, 8), CONV, Linear(10))
    with pytest.raises(ModelError, match="of another network"):
        train(other, TWO, few, SETTINGS, start=Start(first))
