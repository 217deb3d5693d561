"""Settings of the part of ``explore`` that follows the search."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.build.floats.subjects import Subject
from codesign.explore.approach import Trials
from codesign.explore.choice import Rule
from codesign.explore.replacing import BUILD, TRAINING
from codesign.explore.settings import ExploreSettings
from models.data.datasets import Dataset


@dataclass(frozen=True)
class FinishSettings:
    """Settings of full training, synthesis, build and verification. Made by ``explore``."""

    settings: ExploreSettings
    """Settings of the whole run."""
    dataset: Dataset
    short: Trials
    """Settings of the trials, whose time predicts that of full trainings."""
    time_left_s: float | None
    """Seconds of the time limit that the search left; None: no limit."""
    given: tuple[Subject, ...] = ()
    """The networks that the search started from, whose finalists are fine-tuned, by number; those
    of one design alone where it is trained or built (``of``)."""
    least_accuracy: float | None = None
    """Validation accuracy (0..1) without which there is no design; None: there is one anyway."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that is doubtful of the start."""

    def of(self, start: int) -> FinishSettings:
        """Return the settings of a design, made of the network ``start`` of those given, if any."""
        if not self.given:
            return self
        own = self.given[start]
        return dataclasses.replace(self, given=(own,), dataset=own.dataset)

    @property
    def blind(self) -> FinishSettings:
        """The settings without the test part, which nothing that decides between networks sees."""
        nothing = np.empty(0, dtype=np.int64)
        datasets = {id(one): one for one in (self.dataset, *(one.dataset for one in self.given))}
        without = {
            key: dataclasses.replace(one, test=one.test.take(nothing))
            for key, one in datasets.items()
        }  # once each, so that networks that share their data do so in other processes, too
        given = (dataclasses.replace(one, dataset=without[id(one.dataset)]) for one in self.given)
        return dataclasses.replace(self, dataset=without[id(self.dataset)], given=tuple(given))

    def keeping(self, accuracy: float, whose: str) -> FinishSettings:
        """Return the settings by which ``settings.keep_accuracy`` may be lost of an accuracy.

        accuracy: on all validation images, 0..1; whose: words for the network that has it.
        """
        least = max(accuracy - (self.settings.keep_accuracy or 0.0), 0.0)
        kept = (
            f"{whose} has {100 * accuracy:.2f} % on the validation images: designs with "
            f"{100 * least:.2f} % or more are accepted"
        )
        return dataclasses.replace(self, notes=(*self.notes, kept), least_accuracy=least)

    def lasting(self, epochs: int | None) -> FinishSettings:
        """Return the settings for full trainings of so many epochs, with what long ones change.

        epochs: None: chosen by the size of the data set, which is never long.
        """
        choices = self.settings.training
        if self.given or epochs is None or choices.lasting(self.dataset, epochs) == choices:
            return self
        choices = choices.lasting(self.dataset, epochs)
        changed = choices.augmentation(self.dataset).describe()
        said = (
            f"{epochs} epochs are many for this data set: full trainings decay weights by "
            f"{choices.weight_decay:g} and smooth labels by {choices.label_smoothing:g}; images: "
            f"{changed}; the block `training` of a search file says otherwise"
        )
        settings = dataclasses.replace(self.settings, training=choices)
        return dataclasses.replace(self, settings=settings, notes=(*self.notes, said))

    @property
    def epochs(self) -> int | None:
        """Epochs of each full training; None: chosen by the size of the data set."""
        return self.settings.finetune if self.given else self.settings.epochs

    @property
    def trains(self) -> bool:
        """False where a network that is given keeps its weights but for their bits."""
        return not self.given or self.epochs != 0

    def rule(self, *, fully: bool) -> Rule:
        """Return the rule of choice for accuracies of full trainings, or of short ones."""
        images = len(self.dataset.validation) * self.settings.folds
        images = images if fully else self.short.validation_images
        wanted, least = self.settings, self.least_accuracy
        enough = wanted.min_accuracy if least is None else least
        return Rule(images, wanted.prefer, enough, wanted.boo_within)

    @property
    def name(self) -> str:
        """Start of design names: stem of the data set's name, in letters, digits and dashes.

        At most 40 characters, behind ``net-`` if they do not start with a letter.
        """
        stem = Path(self.settings.dataset).stem
        name = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem).strip("-")[:40]
        return name if name[:1].isalpha() else f"net-{name}"

    @property
    def images(self) -> int:
        """Number of test images to verify, at most those of the data set."""
        return min(self.settings.images, len(self.dataset.test))

    @property
    def training(self) -> Path:
        """Folder of weights and checkpoints."""
        return self.settings.out / TRAINING

    @property
    def builds(self) -> Path:
        """Folder of build folders."""
        return self.settings.out / BUILD
