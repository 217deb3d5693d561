"""Which rounds of short trainings are for the front, and which for the choice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codesign.explore.choice import Rule, Trained
from codesign.explore.search import ROUND, Search
from codesign.explore.settings import ExploreSettings
from codesign.explore.stages import StageClock
from codesign.results import Budget
from codesign.tools.workers import Pool

IMAGES = 216


def search(out: Path, trained: int, **changes: Any) -> Search:
    """A search with so many trained networks, of 18 unless ``changes`` say otherwise."""
    wanted = ExploreSettings(budget=Budget(luts=30_000), out=out, **{"networks": 18, **changes})
    approach: Any = SimpleNamespace(how=SimpleNamespace(validation_images=IMAGES))
    unused: Any = None
    found = Search(
        wanted, unused, unused, unused, approach, Pool(0), unused, unused, StageClock()
    )  # fmt: skip
    for number in range(trained):
        found.trained[str(number)] = Trained(np.zeros(1, np.int64), 0.99 - number / 100, 1.0, 9)
    return found


@pytest.mark.parametrize(
    ("trained", "closing"), [(0, False), (8, False), (12, False), (14, True), (15, True)]
)
def test_the_last_round_of_several_is_for_the_choice(
    trained: int, closing: bool, tmp_path: Path
) -> None:
    assert (search(tmp_path, trained)._chances() is not None) is closing


@pytest.mark.parametrize(
    ("networks", "rounds"),
    [(18, [4, 4, 4, 2, 4]), (14, [4, 4, 2, 4]), (9, [4, 1, 4]), (6, [4, 2]), (4, [4]), (1, [1])],
)
def test_the_last_round_is_a_whole_one(networks: int, rounds: list[int], tmp_path: Path) -> None:
    found: list[int] = []
    while sum(found) < networks:
        found.append(search(tmp_path, sum(found), networks=networks)._round())
    assert found == rounds


def test_a_search_of_one_round_and_rules_without_equals_have_none_for_the_choice(
    tmp_path: Path,
) -> None:
    assert search(tmp_path, 0, networks=ROUND)._chances() is None
    for changes in ({"prefer": "accuracy"}, {"prefer": "knee"}, {"boo_within": 0.01}):
        assert search(tmp_path, 14, **changes)._chances() is None
    assert search(tmp_path, 14, network="given")._chances() is None


def test_the_chances_are_those_of_the_rule(tmp_path: Path) -> None:
    accuracies = np.array([0.98, 0.95])
    for least in (None, 0.96):
        chances = search(tmp_path, 14, min_accuracy=least)._chances()
        assert chances is not None
        expected = Rule(IMAGES, min_accuracy=least).chances(accuracies, best=0.99)
        assert chances(accuracies).tolist() == expected.tolist()
