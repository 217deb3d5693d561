"""The benchmark of the rule of choice reads finished searches and does not repeat them."""

from __future__ import annotations

import json

import pytest

from benchmarks.search import choice
from tests.paths import ROOT

SUMMARY = {
    "status": 0, "seed": 3, "accuracy": {"validation": 1.0, "test": 0.98886},
    "simulated": {"images_per_second": 198807.16}, "synthesised": {"luts": 24069, "brams": 1},
    "networks_trained_fully": 4, "wall_seconds": 131.6,
}  # fmt: skip


def test_a_finished_search_is_only_read(tmp_path, monkeypatch):
    monkeypatch.setattr(choice.subprocess, "run", None)
    folder = tmp_path / "seed3"
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps(SUMMARY))
    (tmp_path / f"seed3.{choice.CPU}").write_text("150.4")
    (found,) = choice.rows([3], tmp_path, ROOT)
    assert tuple(found) == choice.COLUMNS
    assert found["images_per_second"] == 198_807
    assert found["cpu_seconds"] == 150


def test_searches_of_older_releases_have_rows_too():
    old = {k: v for k, v in SUMMARY.items() if k != "networks_trained_fully"}
    assert choice.row(old, None)["trained_fully"] == 1


def test_a_search_that_fails_ends_the_benchmark(tmp_path):
    with pytest.raises(choice.subprocess.CalledProcessError):
        list(choice.rows([-1], tmp_path, ROOT))
