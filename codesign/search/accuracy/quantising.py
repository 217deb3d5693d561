"""Trials of a network that exists: its accuracy with other bits, after calibration alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.search.accuracy.short_training import candidate_of, drawn
from codesign.search.space.given import NetworkSpace
from codesign.search.trials import Proposal
from models.data.datasets import Dataset
from models.importing.floating import FloatNetwork
from models.integer.bits import network_bits, total

CALIBRATION_IMAGES = 256
"""Most training images that a trial's scales are set on."""
VALIDATION_IMAGES = 2000
"""Most validation images of a trial."""

TUNING = 6
"""Passes of the network that fine-tuning on an image is worth: the teacher's, forward, backward
with fake quantisation."""


@dataclass(frozen=True)
class Quantising:
    """Settings of trials by quantisation after training, the same for all that are compared.

    >>> Quantising(calibration_images=256, validation_images=2000, seed=0).told
    'after calibration'
    """

    calibration_images: int
    """Images drawn from the training split by ``seed``, at most all of them."""
    validation_images: int
    """Images drawn from the validation split by ``seed``, at most all of them."""
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, seed: int) -> Quantising:
        """Return the settings for a data set."""
        return cls(
            min(len(dataset.train), CALIBRATION_IMAGES),
            min(len(dataset.validation), VALIDATION_IMAGES),
            seed,
        )

    @property
    def told(self) -> str:
        """Words for what happens to a network before its accuracy is taken."""
        return "after calibration"

    def seconds_an_epoch(self, seconds: float, images: int) -> float:
        """Return the expected time of an epoch of fine-tuning over so many images.

        seconds: of the trial. An image takes about TUNING times as long as one that is evaluated.
        """
        return TUNING * seconds / (self.calibration_images + self.validation_images) * images

    def subset(self, dataset: Dataset) -> Dataset:
        """Return the images of ``dataset`` that trials use, as ``short_training.drawn`` does."""
        return drawn(dataset, self.calibration_images, self.validation_images, self.seed)


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Evaluation of proposals (codesign.search.crew) by quantisation after training.

    Made by ``explore``.
    """

    space: NetworkSpace
    network: FloatNetwork
    """With an input as of models.calibration.inputs.fit."""
    dataset: Dataset
    """The part of the data set that ``how.subset`` returns."""
    how: Quantising
    keep: Callable[[str], Path | None] = lambda key: None
    """Network's key -> file for its quantised weights."""

    def __call__(self, proposal: Proposal) -> dict[str, Any]:
        """Quantise the network; return its accuracy, one-bits and the time it took.

        Raises UserError for a proposal that is damaged, or of another space or other settings.
        """
        from models.calibration.calibrating import calibrate  # torch takes seconds to import
        from models.integer.lower import lower

        candidate = candidate_of(proposal, self.space, self.how)
        _, quantisation = self.space.network(candidate)
        scale_bits = int(self.space.integers(candidate[None], "scale_bits")[0])
        start = time.monotonic()
        found = calibrate(self.network, quantisation, self.dataset.train.images, scale_bits)
        accuracy = found.evaluate(self.dataset.validation)
        seconds = time.monotonic() - start
        if (path := self.keep(proposal.key)) is not None:
            found.save(path)
        _, integer = lower(found, scale_bits)
        return {
            "validation_accuracy": accuracy,
            "one_bits": total(network_bits(integer, {}, 1).values()).ones,
            "seconds": round(seconds, 2),
            "history": [],
        }
