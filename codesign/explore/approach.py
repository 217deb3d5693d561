"""Ways of judging networks in a search: by beliefs first, by trials of some of them then."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from codesign.search.accuracy.features import network_features
from codesign.search.accuracy.short_training import ShortTrainer, ShortTraining
from codesign.search.accuracy.transfer import Source, TransferBelief
from codesign.search.crew import Evaluation
from codesign.search.engine import InnerSearch, Score
from codesign.search.picking import LEAST_SHARE, Belief
from codesign.search.problem import Evaluated
from codesign.search.space.genome import Genome
from codesign.search.store import TrialStore
from models.data.datasets import Dataset

Keep = Callable[[str], Path | None]
"""Network's key -> file for the weights that its trial ends with."""


class Trials(Protocol):
    """Settings of trials, the same for all networks that are compared: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def validation_images(self) -> int:
        """Validation images that a trial's accuracy is over."""

    @property
    def told(self) -> str:
        """Words for what happens to a network before its accuracy is taken."""

    def subset(self, dataset: Dataset) -> Dataset:
        """Return the images of ``dataset`` that trials use, without its test split."""

    def seconds_an_epoch(self, seconds: float, images: int) -> float:
        """Return the expected seconds of an epoch of a full training; seconds: of the trial."""


class Approach(Protocol):
    """Way of judging the networks of one space. Made by ``explore``."""

    @property
    def how(self) -> Trials:
        """Settings of the trials."""

    least_share: ClassVar[float]
    """Share of the best accuracy, believed or reached, from which on a network is of interest."""

    def with_effort(self, effort: int) -> Approach:
        """Return the approach with trials of about ``effort`` times the work (1..MOST_EFFORT).

        It is the same one where more work tells nothing more.
        """

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> Belief:
        """Return what is believed before the first trial.

        inner: the search on estimates, which has only drawn its samples. open_store: the trials,
        opened at the first call: what takes long to find out is noted there.
        """

    def refined(
        self, inner: InnerSearch, score: Score, pool: Evaluated, *, first: bool
    ) -> Evaluated:
        """Return ``pool``, all feasible designs found, with better ones where it looks for some.

        score: as for ``inner.run``. first: True before the first trial.
        """

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> Evaluation:
        """Return the trial of a proposal, which can be pickled; dataset: of ``how.subset``."""


@dataclass(frozen=True, eq=False)
class FromScratch:
    """Networks are trained briefly; others' trainings say what to expect. Made by ``explore``."""

    how: ShortTraining
    dataset: Dataset
    name: str
    """Of the data set, as other searches call it."""
    earlier: Sequence[Source]
    """Trained networks of other searches and studies."""
    least_share: ClassVar[float] = LEAST_SHARE

    def with_effort(self, effort: int) -> FromScratch:
        """Return the approach by which each network sees so many times the images."""
        return dataclasses.replace(self, how=self.how.longer(effort, self.dataset))

    def belief(self, inner: InnerSearch, open_store: Callable[[], TrialStore]) -> Belief:
        """Return what trained networks of others say; open_store: not called."""
        drawn = inner.archive().layers.take(slice(inner.sampled))
        centre = network_features(drawn).mean(axis=0)
        return TransferBelief(self.name, self.how.validation_images, self.earlier, centre)

    def refined(
        self, inner: InnerSearch, score: Score, pool: Evaluated, *, first: bool
    ) -> Evaluated:
        """Return ``pool``: what the strategy finds is taken as it is."""
        return pool

    def trainer(self, space: Genome, dataset: Dataset, keep: Keep) -> Evaluation:
        """Return the short training."""
        return ShortTrainer(space, dataset, self.how, keep)
