"""Measures of outputs that are no classes, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from models.tasks import measures


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_that_of_the_roc_curve(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    positive[:2] = [True, False]
    found = measures.roc_area(scores, positive)
    assert found.area == pytest.approx(metrics.roc_auc_score(positive, scores))
    assert 0 <= found.low <= found.area + 1e-4
    assert found.area - 1e-4 <= found.high <= 1
    assert found.positive + found.negative == len(pairs)


def test_its_interval_holds_the_true_area_about_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        scores = np.concatenate([rng.normal(0, 1, 60), rng.normal(1, 1, 40)])
        found = measures.roc_area(scores, np.arange(100) >= 60)
        held += found.low <= 0.7602 <= found.high  # P(N(1, 1) > N(0, 1))
    assert 0.9 <= held / 400 <= 0.99


@pytest.mark.parametrize("columns", [1, 3])
def test_errors_of_numbers(columns: int) -> None:
    rng = np.random.default_rng(columns)
    targets = rng.normal(2, 3, (50, columns))
    outputs = targets + rng.normal(0, 1, targets.shape)
    found = measures.regression(outputs, targets)
    assert found["mean_squared_error"] == pytest.approx(
        metrics.mean_squared_error(targets, outputs)
    )
    assert found["mean_absolute_error"] == pytest.approx(
        metrics.mean_absolute_error(targets, outputs)
    )
    weighted = metrics.r2_score(targets, outputs, multioutput="variance_weighted")
    assert found["r_squared"] == pytest.approx(weighted)
    assert measures.regression(outputs, np.ones_like(targets))["r_squared"] is None
    assert measures.errors(outputs, targets).mean() == pytest.approx(found["mean_squared_error"])


def test_pixels_have_the_class_of_their_largest_output() -> None:
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(0, 1, (3, 4, 5, 6)), rng.integers(0, 3, (3, 5, 6))
    outputs[:, 3] -= 100  # a class that is neither there nor answered
    labels[0, :2] = measures.LEFT_OUT
    kept = labels != measures.LEFT_OUT
    answers, right = outputs.argmax(axis=1)[kept], labels[kept]
    found = measures.pixels(outputs, labels)
    assert found["pixels"] == kept.sum()
    assert found["pixel_accuracy"] == pytest.approx((answers == right).mean())
    expected = metrics.jaccard_score(right, answers, labels=[0, 1, 2], average=None)
    assert found["iou"][:3] == pytest.approx(expected)
    assert found["iou"][3] is None
    assert found["mean_iou"] == pytest.approx(expected.mean())
