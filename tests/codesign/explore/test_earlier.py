"""Earlier runs as prior knowledge: what is read of them, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from codesign.explore import run as exploring
from codesign.results import UserError
from codesign.search.accuracy.features import FEATURES
from models.data import datasets
from tests.codesign.explore.test_explore import Fakes, fakes, run, settings

__all__ = ["fakes"]
DIGITS = datasets.load("digits")


def test_a_run_learns_from_an_earlier_one_and_says_so_in_explore_json(
    fakes: Fakes, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    run(settings(first))
    shutil.copyfile(tmp_path / "space.yaml", tmp_path / "b.yaml")
    wanted = settings(tmp_path / "second", warm_start=(str(first),))
    *_, known = exploring.earlier_sources(wanted, DIGITS)
    assert known.dataset == "digits", "the same images"
    assert known.features.shape == (4, len(FEATURES))
    assert known.images == len(DIGITS.validation)
    other = dataclasses.replace(DIGITS, sha256="other")
    assert exploring.earlier_sources(wanted, other)[-1].dataset == DIGITS.sha256
    fakes.trained.clear()
    run(wanted)
    assert len(set(fakes.trained)) == 4
    (told,) = json.loads((tmp_path / "second" / "explore.json").read_text())["warm_start_sha256"]
    assert len(told) == 64
    before = (first / "trials.journal").read_bytes()
    run(settings(first, resume=True))  # opens the journal, and trains nothing
    assert (first / "trials.journal").read_bytes() != before
    run(dataclasses.replace(wanted, resume=True))
    assert len(set(fakes.trained)) == 4


def test_trials_from_before_sums_were_trained_for_are_of_any_weights(
    fakes: Fakes, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    run(settings(first))
    journal = first / "trials.journal"
    text, count = re.subn(r'("features":\[[^]]*),0\.0\]', r"\1]", journal.read_text())
    assert count >= 4
    journal.write_text(text)
    wanted = settings(tmp_path / "second", warm_start=(str(first),))
    *_, known = exploring.earlier_sources(wanted, DIGITS)
    assert known.features.shape == (4, len(FEATURES))
    assert not known.features[:, FEATURES.index("short_accumulator_bits")].any()


def test_what_cannot_be_learned_from_is_refused(fakes: Fakes, tmp_path: Path) -> None:
    first = tmp_path / "first"
    run(settings(first))

    def refused(folder: Path, message: str) -> None:
        with pytest.raises(UserError, match=message):
            run(settings(tmp_path / "second", warm_start=(str(folder),)))
        assert not (tmp_path / "second" / "explore.json").exists()

    refused(tmp_path / "nowhere", "holds no search")
    refused(tmp_path, "holds something else than a search")
    refused(tmp_path / "second", "is the folder of this search")
    journal = first / "trials.journal"
    text = journal.read_text()
    journal.write_text(text.replace('"features"', '"others"'))
    refused(first, "a release whose trials cannot be learned from")
    journal.write_text(text.replace('"validation_images": 216', '"validation_images": "x"'))
    if '"validation_images": 216' not in text:
        journal.write_text(text.replace('"validation_images":216', '"validation_images":"x"'))
    refused(first, "validation_images: must be")
    journal.write_text("no journal\n")
    refused(first, "trials.journal")
    journal.unlink()
    refused(first, "trials.journal")
