"""Answers that are no classes come as the file holds them, of the test part or of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data import targets
from models.errors import DatasetError


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "data.npz", **arrays)
    return path / "data.npz"


def test_the_test_part_counts_alone_where_there_is_one(tmp_path: Path) -> None:
    x, y = np.arange(24.0).reshape(6, 4), np.linspace(0, 1, 12).reshape(6, 2)
    parts = {"x_train": x[:4], "y_train": y[:4], "x_test": x[4:], "y_test": y[4:]}
    found = targets.npz(saved(tmp_path, **parts))
    assert np.array_equal(found.values[:, :, 0, 0], x[4:])
    assert found.answers is not None
    assert np.array_equal(found.answers, y[4:])
    del parts["x_test"]
    found = targets.npz(saved(tmp_path, **parts, x_val=x[4:], y_val=y[4:]))
    assert np.array_equal(found.values[:, :, 0, 0], x)
    assert found.answers is not None
    assert np.array_equal(found.answers, y)
    assert found.notes == ("there is no test part: all examples are used",)


def test_answers_may_be_missing(tmp_path: Path) -> None:
    assert targets.npz(saved(tmp_path, x=np.zeros((3, 4)))).answers is None


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.zeros(3)}, "array x is missing"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(2)}, "3 answers expected"),
        ({"x": np.zeros((3, 4)), "y": np.float64(1)}, "3 answers expected"),
        ({"x": np.zeros((3, 4)), "y": np.array([0, np.nan, 1])}, "y"),
        ({"x": np.full((3, 4), np.inf)}, "x"),
        ({"x": np.zeros((3, 4)), "x_val": np.zeros((3, 5))}, "does not match"),
        ({"x": np.zeros((3, 4)), "y": np.zeros(3), "x_val": np.zeros((1, 4))}, "answers expected"),
    ],
)
def test_damaged_files_are_refused(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=said):
        targets.npz(saved(tmp_path, **arrays))
