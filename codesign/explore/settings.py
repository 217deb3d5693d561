"""What a search is asked for, and what of it decides the result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.fpga.devices import Device
from codesign.results import AREA_CONFIDENCE, Budget, UserError
from codesign.search.optimisers import OPTIMISERS
from codesign.search.space.declaration import SpaceDeclaration
from models.data.datasets import Dataset

FORMAT = "codesign explore 2"
"""Stands in explore.json: a folder without it is none of ours and stays as it is."""
OLD_FORMAT = "codesign explore 1"
"""With names that OLD_OPTIONS translates."""


@dataclass(frozen=True)
class ExploreSettings:
    """What to look for and where. Raises UserError for a senseless value."""

    budget: Budget
    out: Path
    device: Device | None = None
    """For project files, capacities in the report, and the synthesis family."""
    dataset: str = "digits"
    data_dir: Path | None = None
    space: str | None = None
    """A space file (*.yaml) or the name of a shipped one; None: by the size of the images."""
    optimiser: str = "evolution"
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the area bound that the budget is tested with."""
    area_model: Path | None = None
    """A model file (codesign.cost.area.model_file); None: the shipped data's."""
    seed: int = 0
    networks: int = 14
    """Networks that are trained briefly and compared."""
    epochs: int | None = None
    """Of the full training; None: by the size of the data set."""
    boo: float = 0.0
    """Weight, in the loss of all trainings, of the one-bits per weight (TrainSettings.boo)."""
    boo_within: float | None = None
    """Makes few one-bits an objective: accuracy (0..1) that may be given for them."""
    images: int = 64
    """Test images to verify in simulation."""
    time_limit_s: float | None = None
    """For search and training; the result then depends on the speed of the machine."""
    jobs: int = 2
    resume: bool = False

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise UserError(
                f"optimiser must be one of {', '.join(OPTIMISERS)}, not {self.optimiser!r}"
            )
        for name in ("networks", "images", "jobs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, not {self.seed}")

    def identity(self, declaration: SpaceDeclaration, dataset: Dataset) -> dict[str, Any]:
        """What decides the result: a resumed search must agree in all of it."""
        plain = dataclasses.asdict(self)
        for name in (
            "out",
            "data_dir",
            "jobs",
            "resume",
            "time_limit_s",
            "device",
            "space",
            "area_model",
        ):
            del plain[name]
        space = dataclasses.asdict(declaration)
        plain["device"] = self.device.name if self.device else None
        plain["data_sha256"] = dataset.sha256
        plain["area_model_sha256"] = (
            hashlib.sha256(self.area_model.read_bytes()).hexdigest() if self.area_model else None
        )
        content: dict[str, Any] = json.loads(
            json.dumps({"format": FORMAT, **plain, "space": space})
        )
        return content
