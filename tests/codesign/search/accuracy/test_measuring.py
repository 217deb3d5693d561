"""What changes of a given network cost: measured on all classes, more for more that is cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.search.accuracy import measuring
from codesign.search.accuracy.sensitivity import Losses
from codesign.search.space.declaration import load_declaration
from codesign.search.space.given import NetworkSpace
from models.calibration import inputs
from models.calibration.cutting import Cutter
from models.data import datasets
from models.data.datasets import Dataset, Split
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

NETWORK = inputs.fit(floating(RESIDUAL), UNIT).network
SPLIT = examples(RESIDUAL, 40)
NPU = load_declaration("images").npu


def dataset() -> Dataset:
    digits = datasets.load("digits")
    return dataclasses.replace(digits, train=SPLIT, validation=SPLIT, test=SPLIT)


def test_a_part_of_the_images_is_of_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of pictures are read class by class."""
    ordered = Split(SPLIT.images, np.sort(SPLIT.labels))
    assert len(set(ordered.take(np.arange(16)).labels)) < len(set(ordered.spread(16).labels)) == 5
    assert len(ordered.spread(1000)) == len(ordered)
    assert len(ordered.take(np.empty(0, np.int64)).spread(16)) == 0
    seen: list[Split] = []
    plain = measuring.sensitivity

    def watched(network: object, changes: object, split: Split, zero: int) -> object:
        seen.append(split)
        return plain(network, changes, split, zero)  # type: ignore[arg-type]

    monkeypatch.setattr(measuring, "sensitivity", watched)
    monkeypatch.setattr(measuring, "IMAGES", 16)
    space = NetworkSpace(NETWORK.graph, "sha", NPU)
    data = dataclasses.replace(dataset(), validation=ordered)
    measuring.measure(space, NETWORK, None, data, lambda done, total: None)
    assert len(set(seen[0].labels)) == 5


def test_fewer_channels_cost_more_and_losses_find_them() -> None:
    cutter = Cutter.of(NETWORK, 0, SPLIT.images)
    space = NetworkSpace(NETWORK.graph, "sha", NPU, order=cutter.order)
    steps: list[tuple[float, float]] = []
    noted = measuring.measure(space, NETWORK, cutter, dataset(), lambda *step: steps.append(step))
    assert steps[-1][0] + 1 == steps[-1][1]
    (name,) = space.groups
    costs = noted["costs"][name]
    *fewer, most = map(int, space.choices[name])
    found = [costs[str(count)] for count in fewer]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0
    losses = Losses.of_genes(space, noted["costs"])
    candidates = np.tile(space.sizes - 1, (len(fewer) + 1, 1))
    candidates[:, space.index[name]] = range(len(fewer) + 1)
    layers = space.layers(space.canonical(candidates))
    lost = losses.of(layers)
    assert lost.shape == (len(fewer) + 1, losses.features)
    np.testing.assert_allclose(lost[:, -1], [*found, 0.0])
    assert most == 8
