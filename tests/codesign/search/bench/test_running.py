"""Runs of the benchmark count designs once and measure against the true front."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search import strategies
from codesign.search.bench import judging, results, running
from codesign.search.bench.running import Run
from codesign.search.bench.tasks import Task
from codesign.search.strategies import Genes

SIZES = np.array([6, 5, 4], dtype=np.int64)


def toy() -> Task:
    """60 designs for 120 vectors: the last gene's lowest bit has no effect."""
    vectors = np.indices(tuple(SIZES)).reshape(3, -1).T
    keys = vectors[:, 0] * 10 + vectors[:, 1] * 2 + vectors[:, 2] // 2
    rows, designs = np.unique(keys, return_inverse=True)
    x, y, z = rows // 10 / 5, rows % 10 // 2 / 4, rows % 2
    objectives = np.column_stack([x + 0.3 * z, (1 - x) ** 2 + y])
    return Task("toy", Genes(SIZES), ("a", "b"), designs, objectives, (x > 0.9) * 1.0)


@pytest.mark.parametrize("name", strategies.STRATEGIES)
def test_every_strategy_finds_the_whole_front_of_a_small_task(name: str) -> None:
    task = toy()
    run = running.run(task, name, 0, evaluations=60)
    assert run.shares[-1] == pytest.approx(1)
    assert run.evaluations[-1] <= 60
    assert (np.diff(run.shares) >= 0).all()
    assert (np.diff(run.evaluations) >= 0).all()
    assert {tuple(p) for p in run.front} == {tuple(p) for p in task.objectives[task.front]}


def test_designs_asked_for_again_are_neither_counted_nor_told(monkeypatch) -> None:
    told: list[np.ndarray] = []

    class Twice:
        def __init__(self, genes: Genes, seed: int) -> None:
            self.asked = 0

        def ask(self, count: int) -> np.ndarray:
            self.asked += 1
            # Two vectors of one design, which is not on the front.
            rows = [[self.asked % 6, 1, last % 2] for last in range(count)]
            return np.array(rows, dtype=np.int64)

        def tell(self, candidates, objectives, violation) -> None:
            told.append(candidates)

    monkeypatch.setitem(strategies.STRATEGIES, "twice", Twice)
    run = running.run(toy(), "twice", 0, evaluations=50)
    assert run.evaluations[-1] == 6
    assert sum(len(one) for one in told) == 6
    assert len(run.evaluations) == 6 + running.MOST_REPEATS


def test_the_reference_point_and_share_are_those_of_the_true_front() -> None:
    task = toy()
    best = task.objectives[task.front]
    assert (task.violation[task.front] == 0).all()
    assert task.share(best) == pytest.approx(1)
    assert task.share(best[:0]) == 0
    assert (task.reference > best.max(axis=0)).all()
    for row in np.flatnonzero(task.violation <= 0):
        assert (best <= task.objectives[row]).all(axis=1).any()


def made(strategy: str, seed: int, shares: list[float], front: list[list[float]]) -> Run:
    counts = np.arange(1, len(shares) + 1) * 10
    return Run("toy", strategy, seed, counts, counts * 0.1, np.array(shares), np.array(front))


def test_a_run_knows_when_it_reached_a_level_and_its_mean_share() -> None:
    run = made("a", 0, [0.5, 0.96, 0.96], [[0.0, 1.0]])
    assert run.evaluations_to(0.95) == 20
    assert run.evaluations_to(0.99) is None
    assert run.share_at(np.array([9, 10, 25, 99])).tolist() == [0, 0.5, 0.96, 0.96]
    assert run.mean_share(20) == pytest.approx((9 * 0 + 10 * 0.5 + 0.96) / 20)
    assert run.row() == {
        "task": "toy", "strategy": "a", "seed": 0, "evaluations": 30, "evaluations_to_95": 20,
        "evaluations_to_99": None, "hypervolume_share": 0.96, "cpu_s": 3.0,
    }  # fmt: skip


def test_attainment_by_brute_force() -> None:
    random = np.random.default_rng(0)
    runs = [made("a", seed, [1.0], random.random((4, 2)).tolist()) for seed in range(5)]
    surfaces = judging.attainment(runs)
    for point in random.random((200, 2)):
        by = sum(bool((run.front <= point).all(axis=1).any()) for run in runs)
        for percent, surface in zip(judging.QUARTILES, surfaces, strict=True):
            attained = bool((surface <= point).all(axis=1).any())
            assert attained == (100 * by >= percent * len(runs))


def test_a_run_that_found_nothing_attains_nothing() -> None:
    empty = Run("toy", "a", 1, np.array([1]), np.zeros(1), np.zeros(1), np.empty((0, 2)))
    low, middle, high = judging.attainment([made("a", 0, [1.0], [[0.0, 1.0]]), empty])
    assert len(low) == len(middle) == 1
    assert len(high) == 0


def test_judgement_ranks_and_tests_against_the_baseline() -> None:
    good = [made("good", s, [0.9 + s / 1000, 0.99], [[0.0, 0.4]]) for s in range(8)]
    poor = [made("poor", s, [0.2, 0.5 + s / 1000], [[0.5, 0.9]]) for s in range(8)]
    same = [made("same", s, run.shares.tolist(), [[0.5, 0.9]]) for s, run in enumerate(poor)]
    judged = judging.judge(toy(), {"good": good, "poor": poor, "same": same}, 20, "poor")
    by_name = {one.strategy: one for one in judged}
    assert by_name["good"].rank == 1
    assert by_name["poor"].rank == by_name["same"].rank == 2.5
    assert by_name["good"].p_value == pytest.approx(2 * 2 / 2**8)  # exact, times Holm's two
    assert by_name["same"].p_value == 1
    assert by_name["poor"].p_value is None
    assert by_name["good"].evaluations_to == (20, 20)
    assert by_name["poor"].evaluations_to == (None, None)
    assert list(judging.ranks_over_tasks(judged)) == ["good", "poor", "same"]


def test_raw_rows_hold_the_course_of_each_run(tmp_path: Path) -> None:
    run = made("a", 3, [0.5, 0.5, 0.75, 0.75], [[0.0, 1.0]])
    file = results.RunFile(tmp_path / "runs.csv", 40, 10)
    assert file.read() == []
    file.write([run])
    rows = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert [(row["evaluations"], row["hypervolume_share"]) for row in rows] == [
        ("10", "0.5"), ("30", "0.75"), ("40", "0.75"),
    ]  # fmt: skip
    assert {(row["task"], row["strategy"], row["seed"]) for row in rows} == {("toy", "a", "3")}


def test_runs_of_a_file_are_as_they_were(tmp_path: Path) -> None:
    task = toy()
    runs = [running.run(task, name, seed, 30) for seed in range(2) for name in ("random", "nsga2")]
    empty = Run("toy", "none", 1, np.array([1]), np.zeros(1), np.zeros(1), np.empty((0, 2)))
    file = results.RunFile(tmp_path / "runs.csv", 30, 10)
    file.write([*runs, empty])
    for run, found in zip([*runs, empty], file.read(), strict=True):
        assert found.row() == run.row()
        assert found.mean_share(30) == run.mean_share(30)
        assert (found.front.tolist() == run.front.tolist()) or not run.front.size


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda text: text.replace("batch", "bitch"), "runs.csv:1: wrong columns"),
        (lambda text: text.replace(",30,10,", ",30,20,"), "in batches of 20"),
        (lambda text: text.replace("toy,random,0", "toy,random,x"), "runs.csv:2: invalid"),
        (lambda text: text[: text.rindex(",") + 1] + "\n", "lacks its front"),
        (lambda text: text.replace(",30,10,", ",30,10,7,"), "not 9 cells"),
        (lambda text: text.replace(";", " nan;", 1), "inhomogeneous|not finite"),
    ],
)
def test_a_damaged_file_is_refused_and_stays(tmp_path: Path, damage, said: str) -> None:
    path = tmp_path / "runs.csv"
    file = results.RunFile(path, 30, 10)
    file.write([running.run(toy(), "random", 0, 30)])
    text = damage(path.read_text())
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        file.read()
    assert path.read_text() == text
