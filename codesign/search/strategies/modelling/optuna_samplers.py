"""Optuna's samplers as strategies: tree-structured Parzen estimators, and Gaussian processes."""

from __future__ import annotations

import abc
import warnings
from typing import ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.results import Results

CATEGORIES = 8
"""Most values of a gene that are taken as categories; more are taken as ordered numbers."""
FIRST = 20
"""Results that a sampler wants; candidates before are uniform."""
DEAR = 10
"""Most candidates asked for at a time that all come from the sampler."""


class _Sampled(abc.ABC):
    """Strategy that asks an Optuna sampler, whose study is made anew of the results each time.

    So results of any origin are alike, and candidates that nobody evaluated leave nothing behind.
    Those of one ask know of each other as running trials. The violation is the one constraint.
    Asked for more than DEAR, only FEW come from the sampler; neighbours of these in one gene
    follow, as they do in place of suggestions that are known.
    """

    FEW: ClassVar[int]
    MOST: ClassVar[int]
    """Results that a study is made of, at most: the best fronts and the latest."""

    def __init__(self, genes: Genes, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # not of each new study
        self._results = Results(genes.sizes)
        self._random = np.random.default_rng(seed)
        self._space: dict[str, BaseDistribution] = {
            str(gene): (
                CategoricalDistribution(range(size))
                if size <= CATEGORIES
                else IntDistribution(0, size - 1)
            )
            for gene, size in enumerate(genes.sizes.tolist())
            if size > 1
        }

    @abc.abstractmethod
    def _sampler(self, seed: int) -> BaseSampler:
        """Return a new sampler."""

    def ask(self, count: int) -> Ints:
        results = self._results
        if len(results) < FIRST or not self._space:
            return results.unknown(results.candidates[:0], count, self._random)
        suggested = self._suggest(count if count <= DEAR else self.FEW)
        return results.unknown(suggested, count, self._random)

    def tell(self, candidates: Ints, objectives: Floats, violation: Floats) -> None:
        self._results.add(candidates, objectives, violation)

    def _suggest(self, count: int) -> Ints:
        """Return candidates that the sampler suggests one after the other, (count, genes)."""
        results = self._results
        found = np.zeros((count, len(results.sizes)), dtype=np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that samplers or arguments of them are experimental
            study = optuna.create_study(
                directions=["minimize"] * results.objectives.shape[1],
                sampler=self._sampler(int(self._random.integers(1 << 31))),
                storage=optuna.storages.InMemoryStorage(),
            )
            study.add_trials(self._trials())
            for row in found:
                suggested = study.ask(self._space).params
                row[[int(gene) for gene in suggested]] = list(suggested.values())
        return found

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the results as finished trials, with the constraint if one of them breaks it."""
        results = self._results
        rows = results.chosen(self.MOST)
        limited = bool((results.violation[rows] > 0).any())
        return [
            optuna.trial.create_trial(
                params={gene: int(results.candidates[row, int(gene)]) for gene in self._space},
                distributions=self._space,
                values=results.objectives[row].tolist(),
                constraints={"violation": float(results.violation[row])} if limited else None,
            )
            for row in rows
        ]


class ParzenEstimators(_Sampled):
    """Optuna's TPE: candidates that are likely among good results and unlikely among the others.

    Good results are those of the first fronts by Deb's rules, of the last one those that add most
    hypervolume. Genes are modelled together (multivariate), since bit widths and array shape depend
    on each other.

    Source: Ozaki et al., "Multiobjective Tree-Structured Parzen Estimator", JAIR 73, 2022, as in
    Optuna's TPESampler.

    >>> ParzenEstimators(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    FEW, MOST = 10, 1000

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed, multivariate=True, n_startup_trials=FIRST)


class GaussianProcesses(_Sampled):
    """Optuna's GP: candidates of most expected gain in hypervolume, by a process an objective.

    A suggestion takes from half a second on a handful of genes to many seconds on dozens, so
    asked for many candidates it suggests one, and models 200 results at most.

    Source: Daulton, Balandat, Bakshy, "Differentiable Expected Hypervolume Improvement for Parallel
    Multi-Objective Bayesian Optimization", NeurIPS 2020, as in Optuna's GPSampler.

    >>> GaussianProcesses(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    FEW, MOST = 1, 200

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(seed=seed, n_startup_trials=FIRST)
