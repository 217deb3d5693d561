"""Answers that are no classes come as the file holds them, and parts are made without classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data import datasets, targets
from models.data.datasets import ReadOptions
from models.data.raw import TEST, TRAIN, VALIDATION
from models.data.values import InputRange
from models.errors import DatasetError


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def test_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(6, 4), np.linspace(0, 1, 12).reshape(6, 2)
    parts = {"x_train": x[:3], "y_train": y[:3], "x_val": x[3:4], "y_val": y[3:4]}
    found = targets.npz(saved(tmp_path, **parts, x_test=x[4:], y_test=y[4:], z=x), "numbers")
    assert [len(found.parts[part]) for part in (TRAIN, VALIDATION, TEST)] == [3, 1, 2]
    assert np.array_equal(found.parts[TEST].values[:, :, 0, 0], x[4:])
    assert np.array_equal(found.parts[TEST].labels, y[4:])
    assert "arrays that are not used: z" in found.notes


def test_normal_comes_before_anomalous_in_all_parts(tmp_path: Path) -> None:
    x, y = np.zeros((3, 4)), np.array(["odd", "fine", "odd"])
    found = targets.npz(saved(tmp_path, x=x, x_test=x, y_test=y), "reconstruction")
    assert found.class_names == ("fine", "odd")
    assert found.parts[TRAIN].labels.tolist() == [0, 0, 0]
    assert found.parts[TEST].labels.tolist() == [1, 0, 1]
    alone = targets.npz(saved(tmp_path, x=x, y=np.array([7, 7, 7])), "reconstruction")
    assert (alone.class_names, alone.parts[TRAIN].labels.sum()) == ((), 0)


def test_pixels_count_their_classes(tmp_path: Path) -> None:
    x, y = np.zeros((2, 4, 4)), np.zeros((2, 4, 4), np.uint8)
    y[0, 0], y[1, 0, 0] = 2, 255
    found = targets.npz(saved(tmp_path, x=x, y=y), "pixels")
    assert found.class_names == ("0", "1", "2")
    assert "pixels of label 255 are left out" in found.notes


@pytest.mark.parametrize("task", ["numbers", "pixels", "reconstruction"])
def test_missing_parts_are_split_off_at_random(task: str, tmp_path: Path) -> None:
    y = {"numbers": np.arange(100.0), "pixels": np.zeros((100, 2, 2), int),
         "reconstruction": np.arange(100) % 5 == 0}[task]  # fmt: skip
    x = np.arange(400.0).reshape(100, 2, 2)
    path = str(saved(tmp_path, x=x, y=y))
    wanted = ReadOptions(input_range=InputRange.of(0, 400), task=task)
    found, again = (datasets.load(path, seed=3, options=wanted) for _ in range(2))
    assert found.task == task
    assert np.array_equal(found.validation.images, again.validation.images)
    parts = (found.train, found.validation, found.test)
    assert sum(map(len, parts)) == 100
    assert min(map(len, parts)) >= 10
    values = {
        split.images.tobytes()
        for part in parts
        for split in map(part.take, [[i] for i in range(len(part))])
    }
    assert len(values) == 100  # every example is in one part


@pytest.mark.parametrize(
    ("arrays", "task", "said"),
    [
        ({"z": np.zeros(3)}, "numbers", "array x is missing"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(2)}, "numbers", "3 answers expected"),
        ({"x": np.zeros((3, 4)), "y": np.float64(1)}, "numbers", "3 answers expected"),
        ({"x": np.zeros((3, 4)), "y": np.array([0, np.nan, 1])}, "numbers", "y"),
        ({"x": np.full((3, 4), np.inf)}, "reconstruction", "x"),
        ({"x": np.zeros((3, 4)), "x_val": np.zeros((3, 5))}, "reconstruction", "does not match"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(3), "x_val": np.zeros((1, 4))}, "numbers",
         "y_val is missing; y must hold numbers"),
        ({"x": np.zeros((3, 4)), "y": np.full(3, 1e9)}, "numbers", "scale them"),
        ({"x": np.zeros((3, 4)), "y": np.array(["a"] * 3)}, "numbers", "must hold numbers, not"),
        ({"x": np.zeros((3, 4)), "y": np.arange(3)}, "reconstruction", "must have two classes"),
        ({"x": np.zeros((3, 4)), "y": np.zeros((3, 4))}, "reconstruction", "the shape"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(3, int)}, "pixels", "for each pixel"),
        ({"x": np.zeros((1, 4)), "y": np.full((1, 2, 2), -1)}, "pixels", "label -1 is outside"),
        ({"x": np.zeros((1, 4)), "y": np.full((1, 2, 2), 255)}, "pixels", "no pixel has a class"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused(
    arrays: dict[str, Any], task: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=said):
        targets.npz(saved(tmp_path, **arrays), task)


@pytest.mark.parametrize("name", ["digits", "data.zip"])
def test_only_npz_files_have_other_answers_than_classes(name: str) -> None:
    with pytest.raises(DatasetError, match=r"come in an \.npz"):
        datasets.load(name, options=ReadOptions(task="numbers"))


def test_an_auto_encoder_needs_normal_examples(tmp_path: Path) -> None:
    x, y = np.arange(40.0).reshape(10, 4), np.ones(10, int)
    path = str(saved(tmp_path, x=x, y=y, x_test=x, y_test=np.zeros(10, int)))
    with pytest.raises(DatasetError, match="no normal example"):
        datasets.load(path, options=ReadOptions(task="reconstruction"))
