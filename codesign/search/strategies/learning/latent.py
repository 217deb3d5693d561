"""Search in the latent space of a graph auto-encoder, that knows results or does not."""

from __future__ import annotations

import numpy as np

from codesign.search.pareto import Floats, Ints
from codesign.search.strategies.interface import Genes
from codesign.search.strategies.learning.autoencoder import GraphAutoencoder
from codesign.search.strategies.learning.dngo import BayesianLastLayer
from codesign.search.strategies.modelling.model_search import ModelSearch, Regression

UNLABELLED = 1000
"""Uniform candidates that the auto-encoder is trained on, which nobody evaluates."""


class LatentSearch(ModelSearch):
    """arch2vec: Bayesian optimisation on latent vectors of a graph auto-encoder without labels.

    The auto-encoder learns to reconstruct the graphs of UNLABELLED candidates before the first
    model is fitted; DNGO then regresses the objectives from latent vectors.

    Adapted: a regression an objective and the gain in hypervolume of ModelSearch in place of
    expected improvement of one; candidates are taken from its pool, as arch2vec takes them from the
    table of all, so that nothing need be decoded. The graph is Genes.drawn's.

    Source: Yan et al., "Does Unsupervised Architecture Representation Learning Help Neural
    Architecture Search?", NeurIPS 2020.

    >>> LatentSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    SMALL, MOST = 2000, 300

    def __init__(self, genes: Genes, seed: int) -> None:
        super().__init__(genes, seed)
        self._seed = seed
        self._coder: GraphAutoencoder | None = None

    def _model(self) -> Regression:
        return BayesianLastLayer(self._seed)

    def _encoded(self, candidates: Ints) -> Floats:
        """Return the latent vectors of candidates, shape (n, LATENT)."""
        assert self._coder is not None  # _learn comes first
        return self._coder.latents(self._genes.graphs(candidates))

    def _learn(self, rows: Ints) -> None:
        if self._coder is None:
            graphs = self._genes.graphs(self._uniform(UNLABELLED))
            values = self._known.objectives.shape[1] + 1
            self._coder = GraphAutoencoder(graphs.kinds, values, self._seed)
            self._coder.train(graphs)


class InformedLatentSearch(LatentSearch):
    """info-NAS: the auto-encoder learns results, too, so that its latent space is ordered by them.

    Whenever parameters are found anew, training goes on with the results: the loss of
    reconstruction and that of a regression of their values from the latent vector.

    Adapted: the values are objectives and violation, as a strategy is told nothing else; info-NAS
    takes the outputs of trained networks for images. The rest is as in LatentSearch.

    Source: info-NAS, github.com/gabikadlecova/info-nas.

    >>> InformedLatentSearch(Genes(np.array([4, 2, 7])), seed=0).ask(5).shape
    (5, 3)
    """

    def _learn(self, rows: Ints) -> None:
        super()._learn(rows)
        assert self._coder is not None
        known = self._known
        values = np.column_stack([known.objectives, known.violation])[rows]
        scaled = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-9)
        self._coder.train(self._genes.graphs(known.candidates[rows]), scaled)
