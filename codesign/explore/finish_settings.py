"""Settings of the part of ``explore`` that follows the search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesign.explore.choice import Rule
from codesign.explore.replacing import BUILD, TRAINING
from codesign.explore.settings import ExploreSettings
from codesign.search.accuracy.short_training import ShortTraining
from models.data.datasets import Dataset


@dataclass(frozen=True)
class FinishSettings:
    """Settings of full training, synthesis, build and verification. Made by ``explore``."""

    settings: ExploreSettings
    """Settings of the whole run."""
    dataset: Dataset
    short: ShortTraining
    """Settings of the short trainings, whose time predicts that of full ones."""
    time_left_s: float | None
    """Seconds of the time limit that the search left; None: no limit."""

    def rule(self, images: int) -> Rule:
        """Return the rule of choice for accuracies over so many validation images."""
        wanted = self.settings
        return Rule(images, wanted.prefer, wanted.min_accuracy, wanted.boo_within)

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
