"""benchmarks.accuracy finds the figures of docs/measurements/accuracy-predictor.md."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.accuracy import plot
from codesign.search.accuracy.evaluation import DATASETS, PREDICTORS, PROXIES, SUPERNET, Study


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.accuracy", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {(row["dataset"], row["source"]): row for row in found}


def test_every_source_has_a_row(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    for dataset in DATASETS:
        sources = {source for name, source in rows if name == dataset}
        assert sources >= {
            *PROXIES,
            *SUPERNET,
            *PREDICTORS,
            "capacity",
            "validation accuracy",
            "table",
        }
        assert rows[dataset, "combined"]["networks"] >= 60
    assert rows["fashion-mnist", "second training"]["networks"] >= 5


def test_fashion_mnist_is_predicted_as_promised(
    rows: dict[tuple[str, str], dict[str, Any]],
) -> None:
    combined = rows["fashion-mnist", "combined"]
    assert combined["tau"] >= 0.75
    assert combined["tau_least"] >= 0.75
    assert combined["tau"] > rows["fashion-mnist", "closed-form"]["tau"]
    assert combined["mean_absolute_error"] <= 0.03
    assert 0.8 <= combined["coverage"] <= 1


def test_the_plot_is_an_image(tmp_path: Path) -> None:
    studies = [Study.load(dataset) for dataset in DATASETS]
    plot(studies, tmp_path / "plot.svg")
    circles = list(
        ElementTree.parse(tmp_path / "plot.svg").iter("{http://www.w3.org/2000/svg}circle")
    )
    assert len(circles) == sum(len(study) for study in studies)
