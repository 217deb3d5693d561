"""Settings of ``explore``, and the subset of them that decides its result."""

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
"""Format mark in explore.json; a folder without it is not a search and is never written to."""
OLD_FORMAT = "codesign explore 1"
"""Format mark of release 0.1, whose option names OLD_OPTIONS translates."""


@dataclass(frozen=True)
class ExploreSettings:
    """Budget, data set, search space and effort of one search.

    Raises UserError for an unknown optimiser, a negative seed, or networks, images or jobs below 1.

    >>> settings = ExploreSettings(Budget(luts=30000), Path("runs/explore"))
    >>> settings.optimiser, settings.networks, settings.budget.dsps
    ('evolution', 14, 0)
    """

    budget: Budget
    out: Path
    """Folder of the search; see codesign.explore.folder."""
    device: Device | None = None
    """FPGA part for project files, capacities in the report and the synthesis family; None: the
    family xc7."""
    dataset: str = "digits"
    """Name or path that models.data.datasets.load takes."""
    data_dir: Path | None = None
    """Folder with the data set's files."""
    space: str | None = None
    """A space file (*.yaml) or the name of a shipped one; None: chosen by the image size."""
    optimiser: str = "evolution"
    """Name in codesign.search.optimisers.OPTIMISERS."""
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the area bound that the budget is tested with."""
    area_model: Path | None = None
    """A model file of ``codesign calibrate``; None: the model of the shipped data."""
    seed: int = 0
    """Seed of the data split, the search, all trainings and the simulated stalls."""
    networks: int = 14
    """Networks that are trained briefly and compared."""
    epochs: int | None = None
    """Epochs of the full training; None: chosen by the size of the data set."""
    boo: float = 0.0
    """Weight of the one-bits per weight in the loss of all trainings (TrainSettings.boo)."""
    boo_within: float | None = None
    """Validation accuracy (0..1) to trade for fewer one-bits, which makes these an objective; None:
    not an objective."""
    images: int = 64
    """Test images to verify in simulation."""
    time_limit_s: float | None = None
    """Wall time in seconds for search and training, which makes the result depend on the speed of
    the machine; None: no limit."""
    jobs: int = 2
    """Processes for trainings and simulations; with 2 or more, synthesis runs beside training."""
    resume: bool = False
    """Continue the search in ``out`` instead of replacing it."""

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
        """Return the content of explore.json: all settings and hashes that decide the result.

        A resumed search must have the same identity.
        """
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
