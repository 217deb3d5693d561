"""Settings of the part of ``explore`` that follows the search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.results import Budget
from codesign.search.accuracy.short_training import ShortTraining
from models.data.datasets import Dataset


@dataclass(frozen=True)
class FinishSettings:
    """Settings of full training, synthesis, build and verification. Made by ``explore``."""

    name: str
    budget: Budget
    device: Device | None
    dataset: Dataset
    short: ShortTraining
    seed: int
    epochs: int | None
    boo: float
    boo_within: float | None
    time_left_s: float | None
    images: int
    jobs: int
    training: Path
    builds: Path

    @property
    def family(self) -> str:
        return devices.family_of(self.device)
