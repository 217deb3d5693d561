"""Pareto dominance, fronts, crowding distance and hypervolume of points of shape (n, m).

There are n points of m objectives, all minimised. Constraint violation is one number per point, 0
when feasible, else above 0; by Deb's rules feasible points dominate infeasible ones, and those with
less violation dominate the others. Equal points do not dominate each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def dominance(points: Floats) -> NDArray[np.bool_]:
    """Return an (n, n) matrix that is True at (i, j) where point i dominates point j.

    By objectives alone; constraint violation is not considered.
    """
    first, second = points[:, None, :], points[None, :, :]
    dominates: NDArray[np.bool_] = np.all(first <= second, axis=2) & np.any(first < second, axis=2)
    return dominates


def nondominated_sort(points: Floats, violation: Floats | None = None) -> Ints:
    """Return the front number of each point, shape (n,); 0 for the non-dominated points.

    violation: shape (n,); None: all points are feasible. Infeasible points come after feasible
    ones; points of different violation are never on one front.
    """
    count = len(points)
    dominates = dominance(points)
    if violation is not None:
        ahead = violation[:, None] < violation[None, :]
        dominates = ahead | (dominates & (violation[:, None] == violation[None, :]))
    dominators = dominates.sum(axis=0)
    ranks = np.full(count, -1, dtype=np.int64)
    rank = 0
    while np.any(ranks < 0):
        front = (ranks < 0) & (dominators == 0)
        ranks[front] = rank
        dominators = dominators - dominates[front].sum(axis=0)
        rank += 1
    return ranks


def pareto_mask(points: Floats) -> NDArray[np.bool_]:
    """Return True for points that no other dominates, shape (n,); of equal ones only the first."""
    order = np.lexsort(points.T[::-1])
    mask = np.zeros(len(points), dtype=np.bool_)
    kept = np.empty((0, points.shape[1]))
    for index in order:
        # In lexicographic order a dominator always comes before the point it dominates.
        if not np.any(np.all(kept <= points[index], axis=1)):
            mask[index] = True
            kept = np.vstack([kept, points[index]])
    return mask


def crowding_distance(points: Floats) -> Floats:
    """Return the crowding distance of each point, shape (n,) (Deb et al., 2002).

    It is the sum over objectives of the normalised gap between a point's neighbours, infinite for
    the extreme points of an objective: of equal extremes for one each, even if all are equal.
    """
    count, objectives = points.shape
    distance = np.zeros(count)
    for column in range(objectives):
        order = np.argsort(points[:, column], kind="stable")
        values = points[order, column]
        span = values[-1] - values[0]
        distance[order[[0, -1]]] = np.inf
        if span > 0 and count > 2:
            distance[order[1:-1]] += (values[2:] - values[:-2]) / span
    return distance


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the volume dominated by ``points`` up to ``reference``, for 2 or 3 objectives.

    Points that are not below the reference in every objective do not contribute.
    Raises ValueError for another number of objectives.
    """
    inside = points[np.all(points < reference, axis=1)]
    if points.shape[1] == 2:
        return _area(inside, reference)
    if points.shape[1] != 3:
        raise ValueError(f"hypervolume needs 2 or 3 objectives, not {points.shape[1]}")
    ordered = inside[np.argsort(inside[:, 2], kind="stable")]
    tops = np.append(ordered[1:, 2], reference[2])
    return float(
        sum(
            _area(ordered[: index + 1, :2], reference[:2]) * (top - ordered[index, 2])
            for index, top in enumerate(tops[: len(ordered)])
            if top > ordered[index, 2]
        )
    )


def _area(points: Floats, reference: Floats) -> float:
    """Return the hypervolume of points (n, 2), by sweeping the front from left to right.

    All points lie below the reference, shape (2,), in both objectives.
    """
    total, height = 0.0, float(reference[1])
    for x, y in points[np.lexsort(points.T[::-1])]:
        if y < height:
            total += (float(reference[0]) - x) * (height - y)
            height = float(y)
    return total
