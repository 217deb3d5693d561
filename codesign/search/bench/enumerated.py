"""The task ``enumerated``: networks for the digits on NPUs, every design estimated.

Accuracy is a Gaussian process fitted to the shipped table of trained networks
(codesign/search/accuracy/data): a fixed function, not a training of each network. Cycles are exact,
LUTs those of the shipped area model.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from codesign.cost.area import model_file
from codesign.results import Budget
from codesign.search.accuracy import study_data
from codesign.search.accuracy.features import FEATURES
from codesign.search.accuracy.predictor import AccuracyPredictor
from codesign.search.accuracy.study_data import Description, Training
from codesign.search.bench.tasks import Task
from codesign.search.pareto import Floats
from codesign.search.problem import Evaluated, Problem
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace

NAME = "enumerated"
LUTS = 8_000
"""LUT budget, which one design in six exceeds."""
TEST_IMAGES = 359
"""Images of the digits' test split, on which the study's accuracies are measured."""


def task() -> Task:
    """Return the task: log error share, log cycles per image and log LUTs are minimised."""
    found, designs = every_design()
    accuracy = predictor().predict_networks(found.layers)
    objectives = np.column_stack([np.log(1 - accuracy), _problem().costs(found.estimate)])
    names = ("ln error", "ln seconds per image", "ln LUTs")
    genes = _problem().space.genes
    return Task(NAME, genes, names, designs, objectives, found.violation)


def every_design() -> tuple[Evaluated, np.ndarray]:
    """Return every design of the space with its estimate, and the design of each gene vector.

    Of shapes (designs, ...) and (product of the genes' sizes,), as Task has them.
    """
    problem = _problem()
    shape = tuple(problem.space.sizes)
    vectors = np.indices(shape).reshape(len(shape), -1).T.astype(np.int64)
    flat = np.ravel_multi_index(problem.space.canonical(vectors).T, shape)
    rows, designs = np.unique(flat, return_inverse=True)
    return problem.evaluate(np.ascontiguousarray(vectors[rows])), designs


def predictor() -> AccuracyPredictor:
    """Return the accuracy as a function of the network, fitted to the study of the digits."""
    folder = study_data.SHIPPED
    trained = study_data.read(folder / "trainings_digits.csv", Training)
    described = {
        row.key: [getattr(row, name) for name in FEATURES]
        for row in study_data.read(folder / "networks_digits.csv", Description)
    }
    features: Floats = np.array([described[row.key] for row in trained], dtype=np.float64)
    accuracies = np.array([row.test for row in trained])
    return AccuracyPredictor(features, accuracies, TEST_IMAGES)


@cache
def _problem() -> Problem:
    space = SearchSpace(load_declaration(Path(__file__).parent / "enumerated.yaml"), (1, 8, 8), 10)
    return Problem(space, model_file.load(), Budget(luts=LUTS))
