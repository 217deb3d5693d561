"""Pareto fronts, crowding distance and hypervolume of points of shape (n, m).

There are n points of m objectives, all minimised. Constraint violation is one number per point, 0
when feasible, else above 0; by Deb's rules feasible points dominate infeasible ones, and those with
less violation dominate the others. Equal points do not dominate each other. Fronts and volumes are
computed by moocore.
"""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def fronts(points: Floats) -> Ints:
    """Return the front number of each point, shape (n,); 0 for the non-dominated points."""
    if len(points) < 2:
        return np.zeros(len(points), dtype=np.int64)
    return np.asarray(moocore.pareto_rank(points), dtype=np.int64)


def nondominated_sort(points: Floats, violation: Floats) -> Ints:
    """Return the front number of each point under constraints, shape (n,), from 0 on.

    Infeasible points come after feasible ones; points of different violation are never on one
    front. violation: shape (n,).
    """
    ranks = np.empty(len(points), dtype=np.int64)
    first = 0
    for level in np.unique(violation):
        here = violation == level
        ranks[here] = first + fronts(points[here])
        first = int(ranks[here].max()) + 1
    return ranks


def pareto_mask(points: Floats) -> NDArray[np.bool_]:
    """Return True for points that no other dominates, shape (n,); of equal ones only the first."""
    if len(points) < 2:
        return np.ones(len(points), dtype=np.bool_)
    return np.asarray(moocore.is_nondominated(points, keep_weakly=False), dtype=np.bool_)


def crowding_distance(points: Floats) -> Floats:
    """Return the crowding distance of each of one or more points, shape (n,) (Deb et al., 2002).

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
    """Return the volume dominated by ``points`` up to ``reference``, shape (m,).

    Points that are not below the reference in every objective do not contribute.
    """
    return float(moocore.hypervolume(points, ref=reference)) if len(points) else 0.0


def hypervolume_contributions(points: Floats, reference: Floats) -> Floats:
    """Return the volume up to ``reference`` that no other point dominates, shape (n,).

    points: non-dominated ones (``fronts`` 0). The volume of one that occurs twice is 0.
    """
    if len(points) == 0:
        return np.zeros(0)
    if points.shape[1] == 1:  # moocore takes two objectives or more; one has a single best value
        alone = len(points) == 1
        return np.maximum(reference[0] - points[:, 0], 0.0) if alone else np.zeros(len(points))
    return np.asarray(moocore.hv_contributions(points, ref=reference), dtype=np.float64)
