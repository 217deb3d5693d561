"""What stays of weights in each form, and what is reported of it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.importing import pruning_forms
from benchmarks.importing.pruning_forms import forms, n_of_m

WEIGHTS = np.random.default_rng(0).normal(size=(20, 18, 3, 3))


@pytest.mark.parametrize(("kept", "group"), [(1, 4), (2, 4), (4, 8)])
def test_the_largest_of_each_group_stay(kept: int, group: int) -> None:
    stays = n_of_m(WEIGHTS, kept, group)
    for first in range(0, WEIGHTS.shape[1], group):
        part = np.abs(WEIGHTS[:, first : first + group])
        mine = stays[:, first : first + group]
        assert (mine.sum(axis=1) == min(kept, part.shape[1])).all()
        least_kept = np.where(mine, part, np.inf).min(axis=1)
        assert (np.where(mine, 0.0, part).max(axis=1) <= least_kept).all()


def test_costs_are_of_one_layer_and_of_all() -> None:
    layers = {"a": WEIGHTS[:16, :16], "b": 2 * WEIGHTS[:8, :8]}
    seen: list[set[str]] = []

    def accuracy(changed: dict[str, np.ndarray]) -> float:
        seen.append(set(changed))
        return 0.9 - 0.1 * len(changed)

    found = list(pruning_forms.costs(layers, accuracy))
    assert [one.form for one in found] == list(forms())
    assert seen[:4] == [set(), {"a"}, {"b"}, {"a", "b"}]
    for one in found:
        assert one.points == pytest.approx(10.0)
        assert one.accuracy == pytest.approx(0.7)
        assert one.left < one.squares < 1, "the largest weights stay"
        assert one.left <= 2 / 3 + 1e-9
