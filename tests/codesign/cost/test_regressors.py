"""The cost models' estimators find what is in data whose truth is known.

Non-negative factors with priors, a Gaussian process, and conformal quantiles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from codesign.cost.regressors import FactorRegressor, ProcessRegressor, conformal_quantile


@parametrize_with_checks([FactorRegressor(), ProcessRegressor()])
def test_the_regressors_are_scikit_learn_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def counts(rows: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).uniform(3, 6, (rows, 3)))


def test_factors_are_found_and_never_negative() -> None:
    X = counts(100)
    y = X @ [1.2, 0.8, 0.0] - 0.1 * X[:, 2]
    found = FactorRegressor().fit(X, y, sample_weight=y**-2.0).factors_
    assert found[:2] == pytest.approx([1.2, 0.8], rel=0.1)
    assert found[2] == 0


def test_columns_that_no_row_has_keep_their_prior() -> None:
    X = np.column_stack([counts(50)[:, :2], np.zeros(50)])
    found = FactorRegressor(priors=[1.0, 1.0, 7.0]).fit(X, X @ [2.0, 3.0, 0.0]).factors_
    assert found == pytest.approx([2.0, 3.0, 7.0], rel=1e-3)


def test_columns_that_cannot_be_told_apart_keep_the_proportion_of_their_priors() -> None:
    X = np.repeat(counts(50)[:, :1], 2, axis=1)
    found = FactorRegressor(priors=[3.0, 1.0]).fit(X, 8 * X[:, 0]).factors_
    assert found.sum() == pytest.approx(8.0, rel=1e-3)
    assert found[0] - found[1] == pytest.approx(2.0, abs=0.1)


def test_wrong_priors_are_refused() -> None:
    with pytest.raises(ValueError, match="2 priors for 3 features"):
        FactorRegressor(priors=[1.0, 1.0]).fit(counts(9), np.ones(9))


def bent(rows: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, 2) inputs and a sine of the first one, with normal noise."""
    random = np.random.default_rng(seed)
    X = random.uniform(-2, 2, (rows, 2))
    return X, 3 + np.sin(X[:, 0]) + random.normal(0, noise, rows)


def test_the_process_follows_a_bend_and_knows_its_noise() -> None:
    X, y = bent(300, 1, 0.2)
    process = ProcessRegressor().fit(X, y)
    other, truth = bent(300, 2, 0.2)
    mean, deviation = process.predict(other, return_std=True)
    assert np.abs(mean - truth).mean() < 0.18
    scores = (truth - mean) / deviation
    assert 0.8 < scores.std() < 1.2


def test_far_from_the_data_it_returns_to_the_mean_and_says_that_it_does_not_know() -> None:
    X, y = bent(200, 1, 0.05)
    process = ProcessRegressor().fit(X, y)
    mean, deviation = process.predict(X + 100, return_std=True)
    assert mean == pytest.approx(y.mean())
    assert deviation.min() > 0.9 * y.std()


def test_a_given_kernel_is_taken() -> None:
    X, y = bent(60, 1, 0.05)
    process = ProcessRegressor(length=6.0, noise=0.3).fit(X, y)
    assert (process.length_, process.noise_) == (6.0, 0.3)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_conformal_quantiles_hold_what_they_promise(coverage: float) -> None:
    random = np.random.default_rng(0)
    inside = []
    for _ in range(300):
        scores = np.abs(random.normal(size=60))
        inside.append(np.abs(random.normal()) <= conformal_quantile(scores, coverage))
    assert np.mean(inside) == pytest.approx(coverage, abs=0.07)
    assert conformal_quantile(np.ones(4), 0.9) == np.inf
