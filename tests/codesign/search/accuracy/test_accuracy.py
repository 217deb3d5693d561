"""The accuracy predictor is judged without leaks, and its lookup table predicts the same, faster.

Held-out predictions do not depend on the network's own accuracy or on the test split.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from codesign.results import UserError
from codesign.search.accuracy import evaluation, study_data
from codesign.search.accuracy.evaluation import DATASETS, PREDICTORS, Study, held_out, tau
from codesign.search.accuracy.features import FEATURES


@pytest.fixture(scope="module")
def fashion() -> Study:
    return Study.load("fashion-mnist")


def test_a_network_is_never_predicted_from_itself(fashion: Study) -> None:
    before = held_out(fashion, "combined", 0)
    changed = fashion.validation.copy()
    changed[7] = 0.1
    after = held_out(dataclasses.replace(fashion, validation=changed), "combined", 0)
    assert after.accuracy[7] == before.accuracy[7]
    assert np.sum(after.accuracy != before.accuracy) > len(fashion) / 2


def test_the_test_split_changes_no_prediction(fashion: Study) -> None:
    random = np.random.default_rng(0)
    other = dataclasses.replace(fashion, test=random.permutation(fashion.test))
    assert np.array_equal(
        held_out(other, "combined", 0).accuracy, held_out(fashion, "combined", 0).accuracy
    )


def test_noise_is_not_predicted(fashion: Study) -> None:
    """Checks the measure: with accuracies permuted at random there is nothing to find."""
    order = np.random.default_rng(1).permutation(len(fashion))
    dealt = dataclasses.replace(
        fashion, validation=fashion.validation[order], test=fashion.test[order]
    )
    assert abs(tau(held_out(dealt, "combined", 0).accuracy, dealt.test)) < 0.25


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", PREDICTORS)
def test_the_table_predicts_what_the_process_predicts(dataset: str, name: str) -> None:
    study = Study.load(dataset)
    predictor, inputs = study.predictor(name), study.inputs(PREDICTORS[name])
    shifted = inputs + np.random.default_rng(0).normal(0, 0.3, inputs.shape)
    found = predictor.table().predict(shifted)
    np.testing.assert_allclose(found, predictor.predict(shifted), atol=1e-3)


def test_intervals_surround_the_prediction_and_grow_with_coverage(fashion: Study) -> None:
    predictor, inputs = fashion.predictor("combined"), fashion.inputs(PREDICTORS["combined"])
    low, high = predictor.interval(inputs)
    wider_low, wider_high = predictor.interval(inputs, 0.99)
    middle = predictor.predict(inputs)
    assert np.all((wider_low < low) & (low < middle) & (middle < high) & (high < wider_high))
    far_low, far_high = predictor.interval(inputs + 30)
    _, std = predictor.odds(inputs)
    _, far_std = predictor.odds(inputs + 30)
    assert far_std.min() > std.max()
    assert np.all(far_high >= far_low)


def test_half_a_million_networks_are_predicted_in_a_second() -> None:
    study = Study.load("fashion-mnist")
    table = study.predictor("closed-form").table()
    features = np.resize(study.inputs(FEATURES), (4096, len(FEATURES)))
    with threadpool_limits(1):
        table.predict(features)
        start = time.process_time()  # CPU seconds: other processes do not count
        for _ in range(10):
            table.predict(features)
    assert 10 * len(features) / (time.process_time() - start) >= 500_000


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    shutil.copy(study_data.SHIPPED / "networks_digits.csv", tmp_path)
    lines = (study_data.SHIPPED / "trainings_digits.csv").read_text().splitlines(keepends=True)
    (tmp_path / "trainings_digits.csv").write_text("".join(lines[:5]))
    with pytest.raises(UserError, match=r"trainings_digits.csv: network \w+ is not in it"):
        evaluation.Study.load("digits", tmp_path)
