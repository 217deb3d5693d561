"""Trials of a network that exists: its accuracy with other bits and less channels.

Its scales are calibrated; where it is to be fine-tuned in the end, a little of that comes before
its accuracy is taken, as it recovers more of some changes than of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.search.accuracy.short_training import candidate_of, drawn
from codesign.search.pareto import Ints
from codesign.search.space.given import NetworkSpace
from codesign.search.trials import Proposal
from models.data.datasets import Dataset
from models.importing.floating import FloatNetwork
from models.integer.bits import network_bits, total
from models.training.choices import largest_batch

if TYPE_CHECKING:
    from models.calibration.cutting import Cutter
    from models.training.trained import TrainedNetwork

CALIBRATION_IMAGES = 256
"""Most training images that a trial's scales are set on."""
VALIDATION_IMAGES = 2000
"""Most validation images of a trial."""
TUNING_IMAGES = 2048
"""Most training images that a trial is fine-tuned on, each of them once."""
TUNING_RATE = 3e-4
"""Peak learning rate of that: a ResNet-8 with half of some channels got from 65 to 75 % by it, to
73 by 1e-3 and to 74 by 1e-4 (one network, one seed)."""
TUNING = 6
"""Passes of the network that fine-tuning on an image is worth: the teacher's, forward, backward
with fake quantisation."""


@dataclass(frozen=True)
class Quantising:
    """Settings of trials by quantisation after training, the same for all that are compared.

    >>> Quantising(256, validation_images=2000, tuning_images=0, seed=0).told
    'after calibration'
    """

    calibration_images: int
    """Images drawn from the training split by ``seed``, at most all of them."""
    validation_images: int
    """Images drawn from the validation split by ``seed``, at most all of them."""
    tuning_images: int
    """Images drawn from the training split that the network is fine-tuned on; 0: it is not."""
    seed: int

    @classmethod
    def of(cls, dataset: Dataset, seed: int, *, tuned: bool) -> Quantising:
        """Return the settings for a data set; tuned: will the finalists be fine-tuned?"""
        return cls(
            min(len(dataset.train), CALIBRATION_IMAGES),
            min(len(dataset.validation), VALIDATION_IMAGES),
            min(len(dataset.train), TUNING_IMAGES) if tuned else 0,
            seed,
        )

    @property
    def told(self) -> str:
        """Words for what happens to a network before its accuracy is taken."""
        if self.tuning_images:
            return f"after {self.tuning_images:,} images"
        return "after calibration"

    def seconds_an_epoch(self, seconds: float, images: int) -> float:
        """Return the expected time of an epoch of fine-tuning over so many images.

        seconds: of the trial. An image takes about TUNING times as long as one that is evaluated.
        """
        tuned = TUNING * self.tuning_images + self.validation_images * bool(self.tuning_images)
        evaluated = self.calibration_images + self.validation_images + tuned
        return TUNING * seconds / evaluated * images

    def subset(self, dataset: Dataset) -> Dataset:
        """Return the images of ``dataset`` that trials use, as ``short_training.drawn`` does."""
        most = max(self.calibration_images, self.tuning_images)
        return drawn(dataset, most, self.validation_images, self.seed)


@dataclass(frozen=True, eq=False)
class Quantiser:
    """Evaluation of proposals (codesign.search.crew) by quantisation after training.

    Made by ``explore``.
    """

    space: NetworkSpace
    network: FloatNetwork
    """With an input as of models.calibration.inputs.fit."""
    cutter: Cutter | None
    """Of the network, if channels may be cut."""
    dataset: Dataset
    """The part of the data set that ``how.subset`` returns."""
    how: Quantising
    keep: Callable[[str], Path | None] = lambda key: None
    """Network's key -> file for its quantised weights."""

    def __call__(self, proposal: Proposal) -> dict[str, Any]:
        """Quantise the network of a proposal, as ``tried`` does.

        Raises UserError for a proposal that is damaged, or of another space or other settings.
        """
        return self.tried(candidate_of(proposal, self.space, self.how), proposal.key)

    def tried(self, candidate: Ints, key: str) -> dict[str, Any]:
        """Quantise the network of a candidate, shape (genes,), whose weights are kept by ``key``.

        Returns its accuracy, one-bits and the time it took, as attributes of a trial.
        """
        from models.calibration.calibrating import calibrate  # torch takes seconds to import
        from models.integer.lower import lower

        network, how = self.network, self.how

        _, quantisation = self.space.network(candidate)
        scale_bits = int(self.space.integers(candidate[None], "scale_bits")[0])
        start = time.monotonic()
        if lost := self.space.lost(candidate):
            assert self.cutter is not None
            network = self.cutter.without(lost)
        images = self.dataset.train.spread(how.calibration_images).images
        found = calibrate(network, quantisation, images, scale_bits)
        if how.tuning_images:
            found = self._tuned(found, scale_bits)
        accuracy = found.evaluate(self.dataset.validation)
        seconds = time.monotonic() - start
        if (path := self.keep(key)) is not None:
            found.save(path)
        _, integer = lower(found, scale_bits)
        return {
            "validation_accuracy": accuracy,
            "one_bits": total(network_bits(integer, {}, 1).values()).ones,
            "seconds": round(seconds, 2),
            "history": [],
        }

    def _tuned(self, found: TrainedNetwork, scale_bits: int) -> TrainedNetwork:
        """Return a calibrated network after one epoch towards the answers of the float network."""
        from models.calibration import loading  # torch takes seconds to import
        from models.training.loop import train
        from models.training.losses import Start
        from models.training.schedule import TrainSettings

        dataset = self.dataset
        settings = TrainSettings(
            epochs=1, compile="never", scale_bits=scale_bits, threads=1, seed=self.how.seed,
            batch_size=min(64, largest_batch(len(dataset.train))), learning_rate=TUNING_RATE,
            label_smoothing=0.0, quantised_rate_share=1.0,
        )  # fmt: skip
        teacher = loading.load(self.network, found.quantisation, scale_bits)
        start = Start(found.network, teacher)
        return train(found.graph, found.quantisation, dataset, settings, start=start)
