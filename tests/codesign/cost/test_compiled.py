"""Loops compiled by numba are kept in the user's cache, and compute the same without a cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.cost.cycles.compiled import compiled, int64_fields, part, scratch


@part
def _double(value: int) -> int:
    return 2 * value


def total(values: np.ndarray) -> int:
    found = 0
    for value in values:
        found += _double(value)
    return found


VALUES = np.arange(5)


def test_machine_code_is_kept_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path))
    beside = set(Path(__file__).parent.rglob("*.nb?"))
    assert compiled(total)(VALUES) == 20
    (kept,) = tmp_path.rglob("*.nbc")
    before = kept.stat().st_mtime_ns
    assert compiled(total)(VALUES) == 20
    assert kept.stat().st_mtime_ns == before
    assert set(Path(__file__).parent.rglob("*.nb?")) == beside


def test_a_damaged_cache_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path))
    compiled(total)(VALUES)
    (kept,) = tmp_path.rglob("*.nbc")
    for content in (b"", kept.read_bytes()[:100]):
        kept.write_bytes(content)
        assert compiled(total)(VALUES) == 20


def test_without_a_usable_cache_folder_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "file"))
    assert compiled(total)(VALUES) == 20


def test_scratch_is_records_and_numbers_of_the_same_memory() -> None:
    records, numbers = scratch(int64_fields("rows", "cols"), 3)
    records[1]["cols"] = 7
    assert numbers.tolist() == [[0, 0], [0, 7], [0, 0]]
