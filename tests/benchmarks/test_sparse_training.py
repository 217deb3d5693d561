"""benchmarks.sparse_training trains what each variant says, and its rows are medians over seeds."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks import sparse_training
from benchmarks.sparse_training import EXAMPLE, VARIANTS, Variant, measure, rows
from codesign import design
from models.quantisation.sparsity import Sparsity


def test_a_variant_is_trained_as_it_says() -> None:
    base = design.load(EXAMPLE)
    plain = measure(base, VARIANTS[0], 0, 2)
    both = Variant("both", Sparsity(1, 4), boo=1.0, zero_blocks=0.5)
    found = measure(base, both, 0, 2)
    assert plain["weights"] == found["weights"] == 72 + 8 * 16 * 9 + 64 * 10
    assert found["zero_weights"] > 0.7 > plain["zero_weights"]
    assert found["zero_words"] >= 0.5 > plain["zero_words"]
    assert found["ones"] == pytest.approx(found["ones_per_weight"] * found["weights"])
    assert found["ones"] < plain["ones"]


def test_rows_are_medians_over_the_seeds(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(base: object, variant: Variant, seed: int, epochs: int | None) -> dict[str, float]:
        return {"test": {0: 0.9, 1: 0.1, 2: 0.8}[seed]}

    monkeypatch.setattr(sparse_training, "measure", fake)
    found = list(rows(design.load(EXAMPLE), [0, 1, 2], None))
    assert [row["variant"] for row in found] == [variant.name for variant in VARIANTS]
    assert {row["test"] for row in found} == {0.8}


def test_every_row_is_an_object() -> None:
    command = [sys.executable, "-m", "benchmarks.sparse_training", "digits_tiny", "--json"]
    quick = ["--seeds", "0", "--epochs", "2"]
    done = subprocess.run([*command, *quick], capture_output=True, text=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(VARIANTS)
    assert {row["network"] for row in found} == {"digits_tiny"}
