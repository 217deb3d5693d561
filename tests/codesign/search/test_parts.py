"""Batches evaluated in parts come back in order, bit by bit the same with any number of threads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from codesign.results import Budget
from codesign.search.engine import Problem
from codesign.search.parts import PART, in_parts
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from tests.codesign.cost import synthetic


@pytest.mark.parametrize("count", [0, 1, PART, PART + 1, 3 * PART])
@pytest.mark.parametrize("threads", [1, 2, None])
def test_every_row_once_and_in_order(count: int, threads: int | None) -> None:
    numbers = np.arange(count)
    found = in_parts(lambda rows: ({"a": numbers[rows]}, "shared"), count, threads)
    np.testing.assert_array_equal(found[0]["a"], numbers)
    assert found[1] == "shared"


def test_estimates_do_not_depend_on_the_threads() -> None:
    space = SearchSpace(load_declaration("digits"), (1, 8, 8), 10)
    problem = Problem(space, synthetic.model(), Budget(luts=9000))
    random = np.random.default_rng(4)
    sizes = (2 * PART + 100, len(space.sizes))
    candidates = space.canonical(random.integers(0, space.sizes, sizes))
    single, double = (problem.evaluate(candidates, threads) for threads in (1, 2))
    assert (single.estimate.cycles == double.estimate.cycles).all()
    assert (single.estimate.words.overflow() == double.estimate.words.overflow()).all()
    for field in dataclasses.fields(single.estimate.npu):
        one, two = (getattr(each.estimate.npu, field.name) for each in (single, double))
        np.testing.assert_array_equal(one, two)
    for name, high in single.estimate.area.high.items():
        np.testing.assert_array_equal(high, double.estimate.area.high[name])
    np.testing.assert_array_equal(single.violation, double.violation)
    assert len(single.violation) == len(candidates)


def test_the_limit_of_library_threads_stands_around_all_parts() -> None:
    """The limit is the process's: if each thread set and restored it, it could stay set."""

    def blas_threads(rows: slice) -> np.ndarray:
        return np.full(rows.stop - rows.start, _blas_threads())

    with threadpool_limits(2):
        assert (in_parts(blas_threads, 2 * PART, 2) == 1).all()
        assert _blas_threads() == 2


def _blas_threads() -> int:
    return max(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")
