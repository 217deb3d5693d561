"""benchmarks.residual_tiling draws NPUs that must tile, and goes on where its journal ends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import residual_tiling as benchmark
from benchmarks.networks import zoo
from codesign.compiler import plan
from codesign.results import Figures
from models.integer.lower import shape_only
from models.training.speed import macs


@pytest.mark.parametrize("number", range(3))
def test_settings_are_reproducible_and_have_feature_maps_in_memory(number: int) -> None:
    graph, npu, refused = benchmark.setting(number)
    assert benchmark.setting(number) == (graph, npu, refused)
    assert graph.name == benchmark.NETWORKS[number]().name
    assert plan(shape_only(graph, benchmark.BITS, npu.scale_bits), npu).schedule.moves


def test_finished_settings_are_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = []

    def simulate(name: str, *_: object) -> SimpleNamespace:
        run.append(name)
        return SimpleNamespace(figures=Figures(cycles_per_image=1), passed=True)

    monkeypatch.setattr(benchmark, "simulate", simulate)
    journal = tmp_path / "journal"
    first = list(benchmark.rows(1, journal))
    both = list(benchmark.rows(3, journal))
    assert run == ["shortcut", "blocks", "bottlenecks"]
    assert both[0] == first[0]
    assert [row["setting"] for row in both] == [0, 1, 2]
    assert list(benchmark.rows(3, journal)) == both


def test_resnet_18_has_the_published_work() -> None:
    """1.8 billion products (He et al., arXiv 1512.03385)."""
    assert macs(zoo.resnet18()) / 1e9 == pytest.approx(1.81, abs=0.01)
