"""Prediction of accuracies from the trained networks of a search and of others before it.

A Gaussian process over several sources of trained networks: they share what the capacity of a
network is worth, what each part of it is worth beside that (those whose networks do alike work more
so), and a small part of the rest; those of one data set share most of the rest, and each source has
its own level. So networks can be compared before any is trained, and the longer a search
trains, the less the others say. Source of the kind of model: Bonilla, Chai, Williams, "Multi-task
Gaussian process prediction", NIPS 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import expit

from codesign.cost.cycles.layers import LayerTable
from codesign.search.accuracy.features import FEATURES, capacity, network_features
from codesign.search.accuracy.sensitivity import log_odds
from codesign.search.pareto import Floats
from codesign.search.parts import in_parts
from models.threads import one_thread

Bools = NDArray[np.bool_]
LEVEL, LEVEL_DEVIATION = 2.5, 1.0
"""Log odds of a network of average capacity, before any of its source is known, and how far it may
be from that: 92 %, and 82 to 97 %."""
SLOPE, SLOPE_DEVIATION = 0.15, 0.08
"""Log odds a unit of ``capacity``."""
TERMS = ("log2_weights", "log2_macs", "mean_weight_bits", "mean_activation_bits")
"""Features that ``capacity`` is a sum of, for the most part."""
TERM_DEVIATION = 0.05
"""Log odds a unit of one of TERMS, besides its part of ``capacity``: on the shipped studies a bit
is worth less against a doubling of the weights than there."""
ALIKE = 4.0
"""Doublings of products between the average networks of two sources over which these are alike:
what is worth its LUTs on small images need not be on large ones."""
FARTHEST = 5.0
"""Such doublings beyond which another source says nothing at all: digits are picked better without
photos (docs/measurements/search.md)."""
ALIKE_TERM = 0.2
"""Deviation, besides, of the worth of a unit of TERMS that alike sources share."""
SHARED, OWN = 0.15, 0.6
"""Deviations of log odds from the slope: their part that all data sets share, and the part that
sources of one data set do."""
LENGTH = 2.0
"""Distance in features over which deviations from the slope are alike."""
NOISE, MOST_NOISE = 0.15, 0.3
"""Deviation of log odds between two trainings of one network, on any number of images; and the most
that counts, few images included: replays of a search (docs/measurements/search.md) were worse with
what the binomial distribution says of nearly perfect networks."""


@dataclass(frozen=True, eq=False)
class Source:
    """Networks of one data set that were trained alike.

    >>> Source("digits", np.zeros((2, 11)), np.array([0.9, 1.0]), images=216).odds.round(1)
    array([2.2, 6.1])
    """

    dataset: str
    """Sources of an equal name saw the same images."""
    features: Floats
    """``network_features``, shape (n, f)."""
    accuracies: Floats
    """Validation accuracies, 0..1, shape (n,)."""
    images: int
    """Validation images."""

    @property
    def odds(self) -> Floats:
        """Log odds of a correct answer, shape (n,), finite."""
        return log_odds(self.accuracies, self.images)

    @property
    def noise(self) -> Floats:
        """Deviations of ``odds`` by chance, shape (n,): of the training, and of the images."""
        shares = expit(self.odds)
        chance = np.sqrt(NOISE**2 + 1 / (self.images * shares * (1 - shares)))
        return np.minimum(chance, MOST_NOISE)


def _is_near(source: Source, centre: Floats) -> bool:
    """Return True for a source with networks, of which the average one does work as of ``centre``.

    That is, within FARTHEST doublings. centre: features, shape (f,).
    """
    work = FEATURES.index("log2_macs")
    if not len(source.features):
        return False
    return bool(abs(source.features[:, work].mean() - centre[work]) <= FARTHEST)


class _Size(NamedTuple):
    """Size of n networks beside an average one of their source."""

    capacity: Floats
    """Shape (n,)."""
    terms: Floats
    """TERMS, shape (n, len(TERMS))."""

    @classmethod
    def of(cls, features: Floats) -> _Size:
        """Return the size for features from the average one's, shape (n, f)."""
        return cls(capacity(features), features[:, [FEATURES.index(name) for name in TERMS]])


@dataclass(frozen=True, eq=False)
class TransferBelief:
    """Belief of a search on networks, before and after it has trained some of its own.

    >>> belief = TransferBelief("digits", 200, (), centre=np.full(11, 12.0))
    >>> belief.after(np.empty((0, 11)), np.empty(0)).odds(np.full((1, 11), 12.0))[0].shape
    (1,)
    """

    dataset: str
    """Name of the search's data set."""
    images: int
    """Its validation images."""
    others: Sequence[Source]
    """Trained networks of other searches and studies."""
    centre: Floats
    """``network_features`` of an average network of the search space, shape (f,)."""

    def features(self, layers: LayerTable) -> Floats:
        """Return what networks are compared by, shape (n, f)."""
        return network_features(layers)

    def after(self, features: Floats, accuracies: Floats) -> TransferPredictor:
        """Return what is believed once networks of these features (t, f) have accuracies (t,)."""
        own = Source(self.dataset, features, accuracies, self.images)
        return TransferPredictor(own, self.others, self.centre)


class TransferPredictor:
    """Gaussian process regression of the log odds of a correct answer over several sources.

    own: the source whose networks are predicted, which may be empty; centre: features, shape (f,),
    of an average network of its space. Of other sources, average is their mean.

    >>> before = Source("others", np.array([[10.0] * 11, [14.0] * 11]), np.array([0.6, 0.9]), 1000)
    >>> own = Source("mine", np.empty((0, 11)), np.empty(0), 200)
    >>> low, high = TransferPredictor(own, [before], np.full(11, 12.0)).predict(before.features)
    >>> bool(low < high)
    True
    """

    def __init__(self, own: Source, others: Sequence[Source], centre: Floats) -> None:
        sources = [own, *(one for one in others if _is_near(one, centre))]
        source = np.repeat(np.arange(len(sources)), [len(one.features) for one in sources])
        dataset = np.array([one.dataset for one in sources])[source]
        self._features = np.vstack([one.features for one in sources])
        self._centre, self._source, self._dataset = centre, source, dataset == own.dataset
        centres = np.array([centre, *(one.features.mean(axis=0) for one in sources[1:])])
        work = centres[:, FEATURES.index("log2_macs")]
        alike = np.exp(-np.square(work[:, None] - work) / (2 * ALIKE**2))
        self._alike = alike[0, source]
        self._known = _Size.of(self._features - centres[source])
        levels = [LEVEL] + [float(one.odds.mean()) for one in sources[1:]]
        rest = np.concatenate([one.odds for one in sources]) - np.array(levels)[source]
        with one_thread():
            known = self._covariance(
                self._features,
                self._known,
                source[:, None] == source,
                dataset[:, None] == dataset,
                alike[source[:, None], source],
            )
            noise = np.concatenate([one.noise for one in sources])
            self._lower = cholesky(known + np.diag(np.square(noise)), lower=True)
            self._weights = cho_solve((self._lower, True), rest - SLOPE * self._known.capacity)

    def _covariance(
        self, features: Floats, size: _Size, one_source: Bools, one_dataset: Bools, alike: Floats
    ) -> Floats:
        """Return the covariances of log odds of n networks and the known ones, shape (n, known).

        size: of the n networks; one_source, one_dataset: True where both are of one; alike: 0..1,
        how similar the work of their sources' networks is.
        """
        gaps = np.square(features).sum(1)[:, None] + np.square(self._features).sum(1)
        near = np.exp((features @ self._features.T - gaps / 2) / LENGTH**2)
        return (
            near * (SHARED**2 + OWN**2 * one_dataset)
            + LEVEL_DEVIATION**2 * one_source
            + SLOPE_DEVIATION**2 * np.outer(size.capacity, self._known.capacity)
            + (TERM_DEVIATION**2 + ALIKE_TERM**2 * alike) * (size.terms @ self._known.terms.T)
        )

    def _with_known(self, features: Floats) -> tuple[_Size, Floats]:
        """Return the size of n networks of the own source, and covariances with the known ones."""
        size = _Size.of(features - self._centre)
        mine = self._source == 0, self._dataset, self._alike
        return size, self._covariance(features, size, *mine)

    def odds(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the mean log odds of a correct answer and their standard deviations, each (n,).

        features: shape (n, f). The noise of a training is not in the deviations.
        """
        with one_thread():
            size, shared = self._with_known(features)
            told = solve_triangular(self._lower, shared.T, lower=True)
        own = SHARED**2 + OWN**2 + LEVEL_DEVIATION**2 + (SLOPE_DEVIATION * size.capacity) ** 2
        own += (TERM_DEVIATION**2 + ALIKE_TERM**2) * np.square(size.terms).sum(1)
        deviation = np.sqrt(np.maximum(own - np.square(told).sum(0), 0.0))
        return LEVEL + SLOPE * size.capacity + shared @ self._weights, deviation

    def predict(self, features: Floats) -> Floats:
        """Return the predicted accuracies, 0..1, shape (n,), of features of shape (n, f)."""
        found: Floats = expit(self._mean(features))
        return found

    def _mean(self, features: Floats) -> Floats:
        with one_thread():
            size, shared = self._with_known(features)
            mean: Floats = LEVEL + SLOPE * size.capacity + shared @ self._weights
        return mean

    def network_odds(self, layers: LayerTable, threads: int | None = None) -> Floats:
        """Return the mean log odds of networks, shape (n,): what a search maximises.

        In log odds a front spreads where networks differ little in per cent, but much in errors.
        threads: as in ``in_parts``.
        """
        return in_parts(
            lambda rows: self._mean(network_features(layers.take(rows))), len(layers), threads
        )
