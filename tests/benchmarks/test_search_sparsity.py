"""benchmarks.search_sparsity gives a speed-up by N:M weights for every search space."""

from __future__ import annotations

from benchmarks.search_sparsity import SPACES, rows


def test_each_space_has_a_row_of_plausible_ratios() -> None:
    found = list(rows(networks=3, budgets=(8000,)))
    assert [row["space"] for row in found] == list(SPACES)
    for row in found:
        assert 0.5 < row["p10"] <= row["median"] <= row["p90"] <= 2
