"""The number of 1-bits in a network's weights is predicted before training, by weight width.

Also that a price on them lowers them in a short training.
"""

from __future__ import annotations

import numpy as np
import pytest

from codesign.search.accuracy.one_bits import OneBitsPredictor, weights_by_bits
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, train_one
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.data import datasets
from models.integer.lower import shape_only


def sample(name: str, shape: tuple[int, int, int], count: int) -> tuple[SearchSpace, np.ndarray]:
    space = SearchSpace(load_declaration(name), shape, 10)
    random = np.random.default_rng(5)
    return space, space.canonical(random.integers(0, space.sizes, (count, len(space.sizes))))


@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8)), ("images", (3, 32, 32))])
def test_weights_are_those_of_the_lowered_networks(name, shape) -> None:
    space, candidates = sample(name, shape, 20)
    found = weights_by_bits(layer_table(space, candidates))
    for row, candidate in enumerate(candidates):
        expected = np.zeros(found.shape[1])
        for layer in shape_only(*network(space, candidate), 8).mac_layers:
            if layer.op in ("conv2d", "linear"):
                share = layer.sparsity.kept / layer.sparsity.group if layer.sparsity else 1
                (source,) = layer.sources
                expected[layer.weight_bits - 1] += share * source.weights.size
        np.testing.assert_allclose(found[row], expected)


def test_without_training_data_all_weight_values_are_equally_likely() -> None:
    space, candidates = sample("digits", (1, 8, 8), 200)
    layers = layer_table(space, candidates)
    ones = OneBitsPredictor().predict(layers)
    weights = weights_by_bits(layers)
    two = weights[:, 1] == weights.sum(axis=1)  # every weight -1, 0 or 1
    assert two.any()
    np.testing.assert_allclose(ones[two], 2 / 3 * weights[two, 1])


def test_the_predictor_learns_from_trained_networks() -> None:
    space, candidates = sample("digits", (1, 8, 8), 120)
    layers = layer_table(space, candidates)
    factors = np.linspace(0.3, 1.2, weights_by_bits(layers).shape[1])
    ones = weights_by_bits(layers) @ factors
    some = np.arange(40)
    taught = OneBitsPredictor().fit(layers.take(some), ones[some])
    np.testing.assert_allclose(taught.predict(layers), ones, rtol=0.02)


def test_a_price_on_one_bits_lowers_those_of_a_short_training() -> None:
    space, candidates = sample("digits", (1, 8, 8), 60)
    wide = candidates[np.argmax(weights_by_bits(layer_table(space, candidates))[:, 3:].sum(axis=1))]
    task = TrainingTask("wide", *network(space, wide), 8)
    dataset = datasets.load("digits", None, 0)
    how = ShortTraining(epochs=6, train_images=300, validation_images=50, seed=0)
    priced = ShortTraining(epochs=6, train_images=300, validation_images=50, seed=0, boo=20.0)
    plain, cheap = (train_one(task, each.subset(dataset), each).one_bits for each in (how, priced))
    assert 0 < cheap < 0.95 * plain
