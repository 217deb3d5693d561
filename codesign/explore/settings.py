"""Settings of ``explore``, and the subset of them that decides its result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.build import weights
from codesign.design import DatasetSpec
from codesign.explore.replacing import TRIALS
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.goals import goals_of
from codesign.results import MOVES, STUDY, Budget, SearchSettings, UserError
from codesign.search import strategies
from codesign.search.accuracy.earlier import trials_sha256
from codesign.search.storage import StudyPlace
from models.data.datasets import Dataset
from models.files.reading import quoted, read_bytes
from rtl_gen.naming import check_prefix

FORMAT = "codesign explore 3"
"""Format mark in explore.json. A folder that holds files, but no explore.json with this mark or
one of OLD_FORMATS, is not a search and is never written to."""
OLD_FORMATS = ("codesign explore 1", "codesign explore 2")
"""Format marks of releases 0.1 and 0.2, whose option names OLD_OPTIONS translates."""
_LATER = ("training", "layout", "resize", "prefix", "finish", "prefer", "finetune", "moves",
          "objectives", "folds")  # fmt: skip
"""Shared settings that searches before them did not have: left out of the identity where they have
their default."""
_LATER_LIMITS = ("max_bit_operations", "max_lut_us")
"""Limits that budgets of searches before them did not have: left out where there is none."""
_INDIFFERENT = ("space", "network", "zoo", "jobs", "resume", "warm_start", "teacher")
"""Shared settings that do not decide the result; the space, networks and earlier runs do by their
content, not by their name."""


@dataclass(frozen=True, kw_only=True)
class ExploreSettings(SearchSettings):
    """Budget, data set, search space and effort of one search.

    Raises UserError for an unknown strategy, preference or objective, a negative seed, or networks,
    finish, folds, images or jobs below 1, ConfigError for an invalid prefix.

    >>> settings = ExploreSettings(budget=Budget(luts=30000), out=Path("runs/explore"))
    >>> settings.strategy, settings.networks, settings.budget.dsps
    ('guided', 18, 0)
    """

    budget: Budget
    out: Path
    """Folder of the search; see codesign.explore.folder."""
    device: Device | None = None
    """FPGA part for project files, capacities in the report and the synthesis family; None: the
    family xc7."""
    data_dir: Path | None = None
    """Folder with the data set's files; None: none."""
    area_model: Path | None = None
    """A model file of ``codesign calibrate``; None: the model of the shipped data."""
    boo_within: float | None = None
    """Validation accuracy (0..1) to trade for fewer one-bits, which makes these an objective; None:
    not an objective."""
    min_accuracy: float | None = None
    """Validation accuracy (0..1) that is enough; None: as good as the best for the
    validation images."""
    keep_accuracy: float | None = None
    """Validation accuracy (0..1) that a design may lose against the network that the search starts
    from; None: ``min_accuracy`` says. Only with ``network``."""
    time_limit_s: float | None = None
    """Wall time in seconds for search and training, which makes the result depend on the speed of
    the machine; None: no limit."""
    storage: str | None = dataclasses.field(default=None, repr=False)
    """Path of a journal, or URL of a database, that holds the trials; None: a journal in ``out``.
    It may hold a password, so it is neither shown nor written."""
    study: str = STUDY
    """Name of the study in the storage."""
    replace: bool = True
    """May a search that is in ``out`` already be replaced? False: it is refused."""
    notes: tuple[str, ...] = ()
    """Sentences on what was cut in making these settings; they go to summary.json."""

    def __post_init__(self) -> None:
        strategies.factory(self.strategy)  # raises for an unknown one
        _ = self.goals  # raises for a bad preference or objective
        for name in ("networks", "finish", "folds", "images", "jobs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, not {getattr(self, name)}")
        if not set(self.moves.split(",")) <= set(MOVES):
            raise UserError(f"moves must be of {', '.join(MOVES)}, not {quoted(self.moves)}")
        if self.network is not None and self.zoo:
            raise UserError("give network or zoo, not both: a zoo may hold the network, too")
        if not self.starts and self.keep_accuracy is not None:
            raise UserError("keep_accuracy needs the network whose accuracy it speaks of")
        if self.min_accuracy is not None and self.keep_accuracy is not None:
            raise UserError("give min_accuracy or keep_accuracy, not both")
        scratch = (self.warm_start, self.epochs, self.teacher, self.boo, self.folds > 1)
        if self.starts and any(scratch):
            raise UserError(
                "warm_start, epochs, teacher, boo and folds are for networks that are trained from "
                "scratch; with a network or a zoo there is finetune"
            )
        if self.teacher is not None and self.folds > 1:
            raise UserError(
                "give teacher or folds, not both: the teacher has learned what folds judge on"
            )
        check_prefix(self.prefix)
        _ = self.place  # raises UserError for a bad storage or study
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, not {self.seed}")

    @property
    def starts(self) -> bool:
        """True if the search starts from one or more networks with weights."""
        return self.network is not None or bool(self.zoo)

    @property
    def family(self) -> str:
        """Synthesis family of the device, xc7 without one."""
        return devices.family_of(self.device)

    @property
    def data(self) -> DatasetSpec:
        """Name, layout and size of the data set, in the form that a design has."""
        return DatasetSpec(self.dataset, self.layout, self.resize)

    @property
    def place(self) -> StudyPlace:
        """Storage of the trials, and the name of their study in it."""
        if self.storage is None:
            return StudyPlace(self.out / TRIALS, self.study)
        return StudyPlace.of(self.storage, self.study)

    @property
    def goals(self) -> tuple[str, ...]:
        """Names in codesign.goals.GOALS of all objectives beside accuracy and one-bits."""
        return goals_of(self.prefer, self.objectives)

    @property
    def one_bits(self) -> bool:
        """True if few one-bits are an objective of the search."""
        return self.boo_within is not None

    def identity(self, space: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
        """Return the content of explore.json: settings and hashes that decide the result.

        space: JSON values that say what is chosen from (``Genome.declared``).
        A resumed search must have the same ones. The time limit is not among them. Raises OSError
        when the area model's file cannot be read, FileError for the teacher's.
        """
        model = self.area_model
        decisive = {
            **{name: value for name, value in self.shared().items() if name not in _INDIFFERENT},
            "budget": {
                name: value
                for name, value in dataclasses.asdict(self.budget).items()
                if value is not None or name not in _LATER_LIMITS
            },
            "boo_within": self.boo_within,
            "device": self.device.name if self.device else None,
            "data_sha256": dataset.sha256,
            "area_model_sha256": hashlib.sha256(read_bytes(model)).hexdigest() if model else None,
            "space": space,
        }
        if self.warm_start:
            journals = [Path(run) / TRIALS for run in self.warm_start]
            decisive["warm_start_sha256"] = [trials_sha256(journal) for journal in journals]
        if self.teacher is not None:
            decisive["teacher_sha256"] = weights.digest(Path(self.teacher))
        for name in ("min_accuracy", "keep_accuracy"):
            if getattr(self, name) is not None:
                decisive[name] = getattr(self, name)
        for name in _LATER:
            if decisive[name] == getattr(SearchSettings, name):
                del decisive[name]
            elif dataclasses.is_dataclass(value := decisive[name]) and not isinstance(value, type):
                decisive[name] = dataclasses.asdict(value)
        content: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **decisive}))
        return content
