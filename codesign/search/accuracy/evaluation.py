"""Cross-validated rank correlation of accuracy predictors and of the sources they use.

All figures come from the tables of codesign.search.accuracy.study; nothing is trained.
Predictors are fitted to *validation* accuracies of the networks in other folds and compared with
*test* accuracies of the held-out networks: no network and no test image is on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from sklearn.model_selection import KFold

from codesign.results import UserError
from codesign.search.accuracy import study_data
from codesign.search.accuracy.features import FEATURES, capacity
from codesign.search.accuracy.predictor import AccuracyPredictor
from codesign.search.accuracy.study_data import Brief, Description, Training
from codesign.search.accuracy.transfer import Source
from codesign.search.pareto import Floats

PROXIES = ("grad_norm", "snip", "synflow", "fisher", "naswot", "zen")
"""Zero-cost proxies (models.supernet.proxies)."""
SUPERNET = ("supernet_accuracy", "supernet_loss", "supernet_refit")
"""Figures of a network with the shared weights of a supernet."""
PREDICTORS = {
    "closed-form": FEATURES,
    "closed-form and proxies": (*FEATURES, *PROXIES),
    "closed-form and supernet": (*FEATURES, *SUPERNET),
    "combined": (*FEATURES, *PROXIES, *SUPERNET),
}
"""Predictor -> columns that it reads."""
DATASETS = ("fashion-mnist", "digits")
VALIDATION_IMAGES = {"fashion-mnist": 6000, "digits": 216}
"""Data set -> images of the validation split that the trained networks were evaluated on."""
FOLDS = 8
"""Folds of cross-validation."""
REPETITIONS = 5
"""Number of shuffles of the folds that figures are averaged over."""


@dataclass(frozen=True, eq=False)
class Study:
    """Trained networks of one data set, with what is known of them without training.

    >>> study = Study.load("digits")
    >>> study.inputs(PREDICTORS["combined"]).shape
    (60, 20)
    """

    dataset: str
    columns: dict[str, Floats]
    """Feature, proxy or supernet figure -> values, shape (n,)."""
    validation: Floats
    """Validation accuracy, 0..1, shape (n,)."""
    test: Floats
    """Test accuracy, 0..1, shape (n,)."""
    again: Floats
    """Test accuracy of a second training with another seed, or NaN, shape (n,)."""

    @classmethod
    def load(cls, dataset: str, folder: Path = study_data.SHIPPED) -> Study:
        """Read the study of one of DATASETS from the tables in ``folder``.

        The lowest seed in the table is that of the first trainings, the next number that of second
        ones. Raises UserError for a bad file, or if a network was not trained with the first seed.
        """
        networks = study_data.read(folder / f"networks_{dataset}.csv", Description)
        path = folder / f"trainings_{dataset}.csv"
        trainings = {row.identity: row for row in study_data.read(path, Training)}
        seed = min((row.seed for row in trainings.values()), default=0)
        rows = []
        for network in networks:
            if (network.key, seed) not in trainings:
                raise UserError(f"{path}: network {network.key} is not in it")
            rows.append(trainings[network.key, seed])
        again = [trainings.get((row.key, seed + 1)) for row in networks]
        names = (*FEATURES, *PROXIES, *SUPERNET)
        return cls(
            dataset,
            {name: np.array([getattr(row, name) for row in networks]) for name in names},
            np.array([row.validation for row in rows]),
            np.array([row.test for row in rows]),
            np.array([np.nan if row is None else row.test for row in again]),
        )

    def __len__(self) -> int:
        return len(self.test)

    def inputs(self, names: tuple[str, ...]) -> Floats:
        """Return these columns as inputs of a predictor, shape (n, len(names)).

        Accuracies among them are given as log odds, limited to those of 0.01..0.99.
        """
        return np.column_stack([_even(name, self.columns[name]) for name in names])

    def predictor(self, name: str) -> AccuracyPredictor:
        """Return one of PREDICTORS, fitted to the validation accuracies of all networks."""
        return AccuracyPredictor(
            self.inputs(PREDICTORS[name]), self.validation, VALIDATION_IMAGES[self.dataset]
        )


def shipped_sources() -> list[Source]:
    """Return the trained networks of the shipped studies, as what a search knows beforehand."""
    studies = [
        Source(name, one.inputs(FEATURES), one.validation, VALIDATION_IMAGES[name])
        for name in DATASETS
        for one in [Study.load(name)]
    ]
    briefs = study_data.read(study_data.SHIPPED / study_data.BRIEFS, Brief)
    lengths = sorted({row.epochs for row in briefs})
    return [*studies, *(_briefs([row for row in briefs if row.epochs == one]) for one in lengths)]


def _briefs(rows: Sequence[Brief]) -> Source:
    """Return networks of photos that were trained for as many epochs as each other."""
    features = np.array([[getattr(row, name) for name in FEATURES] for row in rows])
    accuracies = np.array([row.validation for row in rows])
    return Source("cifar10", features, accuracies, rows[0].validation_images)


def _even(name: str, values: Floats) -> Floats:
    """Return the column ``name`` as an input of a predictor, in whose units equal steps mean alike.

    Accuracies (of SUPERNET) become natural log odds, limited to those of 0.01..0.99; other columns
    are returned unchanged.
    """
    if name in ("supernet_accuracy", "supernet_refit"):
        share = np.clip(values, 0.01, 0.99)
        even: Floats = np.log(share / (1 - share))
        return even
    return values


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted accuracies (0..1) of held-out networks and ends of their 90 % intervals, (n,).

    Made by ``held_out``.
    """

    accuracy: Floats
    low: Floats
    high: Floats


def held_out(study: Study, name: str, seed: int) -> Prediction:
    """Predict every network by a predictor fitted to the other folds (k-fold cross-validation).

    name: one of PREDICTORS; seed: shuffles the networks before they are split into FOLDS folds.
    Raises ValueError for fewer networks than folds.
    """
    inputs, images = study.inputs(PREDICTORS[name]), VALIDATION_IMAGES[study.dataset]
    found = np.zeros((3, len(study)))
    for fit, rest in KFold(FOLDS, shuffle=True, random_state=seed).split(inputs):
        predictor = AccuracyPredictor(inputs[fit], study.validation[fit], images)
        found[0, rest] = predictor.predict(inputs[rest])
        found[1:, rest] = predictor.interval(inputs[rest])
    return Prediction(*found)


def tau(first: Floats, second: Floats) -> float:
    """Return Kendall's tau-b, the rank correlation (-1..1) of two arrays of shape (n,).

    NaN if all values of one are equal.
    """
    return float(kendalltau(first, second).statistic)


def report(study: Study) -> list[dict[str, Any]]:
    """Return one row per source or predictor, with Kendall's tau against test accuracy.

    A row has dataset, source, networks (their number) and tau, and all but the second training
    tau_upper_half: that over the networks of at least the median test accuracy. Numbers are rounded
    to 4 decimals; the supernet's loss counts negated. Rows of predictors are means over REPETITIONS
    of ``held_out``, with tau_least (least of the taus), mean_absolute_error and coverage (fraction
    of test accuracies in the intervals). Further rows: capacity, the score by which a search ranks
    networks before any is trained; validation accuracy, of the same training; second training, the
    test accuracy of networks that were trained again with another seed, if there are any.
    """
    rows: list[dict[str, Any]] = []
    for name in (*PROXIES, *SUPERNET):
        sign = -1 if name == "supernet_loss" else 1
        rows.append(_row(study, name, _taus(study, sign * study.columns[name])))
    rows.append(_row(study, "capacity", _taus(study, capacity(study.inputs(FEATURES)))))
    for name in PREDICTORS:
        found = [held_out(study, name, seed) for seed in range(REPETITIONS)]
        taus = [_taus(study, one.accuracy) for one in found]
        error = [float(np.abs(one.accuracy - study.test).mean()) for one in found]
        inside = [np.mean((one.low <= study.test) & (study.test <= one.high)) for one in found]
        figures = {key: float(np.mean([each[key] for each in taus])) for key in taus[0]}
        figures["tau_least"] = min(each["tau"] for each in taus)
        figures |= {
            "mean_absolute_error": float(np.mean(error)),
            "coverage": float(np.mean(inside)),
        }
        rows.append(_row(study, name, figures))
    rows.append(_row(study, "validation accuracy", _taus(study, study.validation)))
    twice = ~np.isnan(study.again)
    if twice.any():
        again = {"networks": int(twice.sum()), "tau": tau(study.again[twice], study.test[twice])}
        rows.append(_row(study, "second training", again))
    return rows


def _taus(study: Study, score: Floats) -> dict[str, float]:
    """Return Kendall's tau of a score (n,) and test accuracy, and that of the better half.

    Keys: tau (all networks), tau_upper_half (those of at least the median test accuracy).
    """
    upper = study.test >= np.median(study.test)
    return {
        "tau": tau(score, study.test),
        "tau_upper_half": tau(score[upper], study.test[upper]),
    }


def _row(study: Study, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    return {"dataset": study.dataset, "source": name, "networks": len(study), **rounded}
