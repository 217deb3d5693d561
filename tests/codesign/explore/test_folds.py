"""Repeated splits: disjoint validation parts, which decide between finalists, without the test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codesign.explore import folds
from codesign.explore.finish_settings import FinishSettings
from codesign.results import UserError
from models.data import datasets
from tests.codesign.explore.test_explore import Fakes, fakes, run, settings, without_times

__all__ = ["fakes"]


def rows(images: np.ndarray) -> list[bytes]:
    return [one.tobytes() for one in images]


def test_the_validation_parts_are_disjoint_and_of_equal_size() -> None:
    dataset = datasets.load("digits")
    held = rows(dataset.validation.images)
    every = sorted(rows(dataset.train.images) + held)
    for fold in range(1, 6):
        found = folds.split(dataset, fold, seed=3)
        assert len(found.test) == 0
        assert len(found.validation) == len(dataset.validation)
        assert sorted(rows(found.train.images) + rows(found.validation.images)) == every
        again = folds.split(dataset, fold, seed=3)
        assert (again.validation.labels == found.validation.labels).all()
        held += rows(found.validation.images)
    assert len(held) == 6 * len(dataset.validation)
    # Some of the digits are equal to others; each is held out as often as it is there, or less.
    assert all(held.count(one) <= every.count(one) for one in set(held))
    other = folds.split(dataset, 1, seed=4).validation
    assert rows(other.images) != rows(folds.split(dataset, 1, seed=3).validation.images)


def test_more_folds_than_there_are_images_for_are_refused() -> None:
    dataset = datasets.load("digits")
    folds.check(6, dataset)
    with pytest.raises(UserError, match=r"folds must be 1\.\.6 for 1222 training and 216 valid"):
        folds.check(7, dataset)


def test_finalists_are_judged_by_the_mean_over_the_folds(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    trained: list[str] = []
    train = folds.pipeline.train_design

    def counted(design, dataset, how, **options):
        assert len(dataset.test) == 0
        trained.append(design.name)
        return train(design, dataset, how, **options)

    monkeypatch.setattr(folds.pipeline, "train_design", counted)
    rules: list[int] = []
    rule = FinishSettings.rule

    def noted(self: FinishSettings, *, fully: bool):
        found = rule(self, fully=fully)
        rules.append(found.images if fully else 0)
        return found

    monkeypatch.setattr(FinishSettings, "rule", noted)
    result, said = run(settings(out, folds=3))
    told = result.summary["folds"]
    fully = [one for one in result.finished.networks if one.trained_fully]
    assert len(told) == len(fully) == 2
    for one, shares in zip(fully, told.values(), strict=True):
        assert len(shares) == 3
        assert one.settled == pytest.approx(np.mean(shares), abs=1e-4)
    assert len(trained) == 2 * 3
    assert max(rules) == 3 * len(datasets.load("digits").validation)
    assert "folds" in {stage for stage, *_ in said}
    assert result.summary["stage_seconds"]["folds"] > 0
    assert not list((out / "training").glob("*.fold*.checkpoint"))
    again, _ = run(settings(out, folds=3, resume=True))
    assert len(trained) == 2 * 3  # nothing is trained twice
    assert without_times(again.summary) == without_times(result.summary)
    with pytest.raises(UserError, match="other folds"):
        run(settings(out, folds=2, resume=True))


def test_folds_are_for_networks_from_scratch(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folds are for networks that are trained from scratch"):
        dataclasses.replace(settings(tmp_path / "out"), epochs=None, network="net", folds=2)
