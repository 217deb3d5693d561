"""Pareto ranks, masks, crowding and hypervolume equal their definitions, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from codesign.search import pareto


def point_arrays(objectives: int) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, 9), st.just(objectives))
    return shape.flatmap(lambda s: arrays(np.float64, s, elements=st.integers(0, 4).map(float)))


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a <= b) and np.any(a < b))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(points=point_arrays(3))
def test_front_zero_is_what_nobody_dominates(points: np.ndarray) -> None:
    ranks = pareto.fronts(points)
    for i, point in enumerate(points):
        beaten = [j for j, other in enumerate(points) if dominates(other, point)]
        assert ranks[i] == (max(ranks[j] for j in beaten) + 1 if beaten else 0)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(points=point_arrays(2))
def test_pareto_mask_keeps_one_of_equal_points(points: np.ndarray) -> None:
    mask = pareto.pareto_mask(points)
    front = {tuple(p) for p in points[pareto.fronts(points) == 0]}
    assert sorted(tuple(p) for p in points[mask]) == sorted(front)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(points=point_arrays(3))
def test_hypervolume_counts_the_unit_cells_below_the_reference(points: np.ndarray) -> None:
    reference = np.array([4.0, 3.0, 4.0])
    cells = np.stack(np.meshgrid(range(4), range(3), range(4), indexing="ij"), -1).reshape(-1, 3)
    covered = np.any(np.all(points[None] <= cells[:, None], axis=2), axis=1)
    assert pareto.hypervolume(points, reference) == pytest.approx(covered.sum())
    flat = {
        tuple(c[:2])
        for c in cells[np.any(np.all(points[None, :, :2] <= cells[:, None, :2], axis=2), axis=1)]
    }
    assert pareto.hypervolume(points[:, :2], reference[:2]) == pytest.approx(len(flat))


def test_infeasible_points_rank_behind_feasible_ones_by_violation() -> None:
    points = np.array([[0.0, 0.0], [5.0, 5.0], [1.0, 1.0], [9.0, 9.0]])
    ranks = pareto.nondominated_sort(points, np.array([2.0, 0.0, 1.0, 0.0]))
    assert ranks.tolist() == [3, 0, 2, 1]


def test_crowding_prefers_ends_and_empty_regions() -> None:
    points = np.array([[0.0, 10.0], [1.0, 9.0], [2.0, 8.0], [9.0, 1.0], [10.0, 0.0]])
    distance = pareto.crowding_distance(points)
    assert np.isinf(distance[[0, 4]]).all()
    assert distance[3] > distance[1]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(points=point_arrays(3))
def test_a_contribution_is_the_volume_lost_without_the_point(points: np.ndarray) -> None:
    reference = np.array([4.0, 3.0, 4.0])
    points = points[pareto.fronts(points) == 0]
    whole = pareto.hypervolume(points, reference)
    lost = [
        whole - pareto.hypervolume(np.delete(points, row, axis=0), reference)
        for row in range(len(points))
    ]
    assert pareto.hypervolume_contributions(points, reference) == pytest.approx(lost)
