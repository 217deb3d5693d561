"""Sensitivity of single layers, and the choice of bits that follows from it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models.calibration import choice, inputs
from models.calibration.sensitivity import Change, Effect, sensitivity
from models.errors import ModelError
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

NETWORK = inputs.fit(floating(RESIDUAL), UNIT).network
SPLIT = examples(RESIDUAL)


def divergences(*changes: Change) -> list[float]:
    return [effect.divergence for effect in sensitivity(NETWORK, changes, SPLIT)]


@pytest.mark.parametrize("layer", ["first", "deep", "point", "classes"])
def test_fewer_bits_of_a_layer_cost_more(layer: str) -> None:
    found = divergences(*(Change(layer, bits) for bits in (8, 5, 3, 2)))
    assert found == sorted(found)
    assert 0 <= found[0] < 1e-3
    assert found[-1] > 30 * found[0]


def test_no_change_changes_nothing() -> None:
    (effect,) = sensitivity(NETWORK, [Change("point")], SPLIT)
    assert effect.divergence == pytest.approx(0, abs=1e-9)
    assert (effect.loss, effect.accuracy) == (0, 0)


def test_images_count_from_the_zero_point() -> None:
    change, levels = Change("first", weight_bits=3), SPLIT.images // 2
    shifted = dataclasses.replace(SPLIT, images=levels + 100)
    plain = dataclasses.replace(SPLIT, images=levels)
    (moved,) = sensitivity(NETWORK, [change], shifted, zero_point=100)
    (still,) = sensitivity(NETWORK, [change], plain)
    assert moved.divergence == pytest.approx(still.divergence, rel=1e-4)


def test_other_changes_grow_with_what_is_taken() -> None:
    for changes in (
        [Change("sum", activation_bits=bits) for bits in (8, 4, 2)],
        [Change("point", sparsity=Sparsity(*pattern)) for pattern in ((4, 8), (1, 4))],
        [Change("first", cut=share) for share in (0, 0.25, 0.75)],
    ):
        found = divergences(*changes)
        assert found == sorted(found), changes
        assert found[-1] > 10 * found[0] or found[0] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("nowhere", 4), "no layer nowhere"),
        (Change("sum", 4), "sum has no weights"),
        (Change("pool", activation_bits=4), "pool has no bits"),
        (Change("deep", sparsity=Sparsity(2, 4)), "deep cannot be sparse"),
    ],
)
def test_changes_that_a_layer_cannot_have(change: Change, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        sensitivity(NETWORK, [change], SPLIT)


def test_bits_are_taken_where_they_cost_least() -> None:
    costs = {"a": {8: 0.0, 6: 0.1, 4: 1.0}, "b": {8: 0.0, 6: 0.001, 4: 0.002}}
    effects = [
        Effect(Change(name, bits), cost, 0, 0)
        for name, found in costs.items()
        for bits, cost in found.items()
    ]
    counts, base = {"a": 10, "b": 10}, Quantisation(8, QuantSpec(8, 8))
    for average, expected in ((8, (8, 8)), (6, (8, 4)), (5, (6, 4)), (4, (4, 4))):
        found = choice.mixed(effects, counts, average, base)
        assert (found.spec("a").weight_bits, found.spec("b").weight_bits) == expected
        assert choice.average_bits(found, counts) <= average
        assert found.spec("a").activation_bits == 8
    with pytest.raises(ModelError, match="below the fewest, 4"):
        choice.mixed(effects, counts, 3.9, base)


def test_changes_to_choose_among_cover_all_weights() -> None:
    counts = choice.weight_counts(NETWORK)
    assert counts == {"first": 216, "deep": 72, "point": 64, "classes": 40}
    changes = choice.weight_changes(NETWORK, (4, 8))
    assert len(changes) == 8
    assert np.unique([change.layer for change in changes]).tolist() == sorted(counts)
