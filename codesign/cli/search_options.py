"""Options of ``explore``, read from a YAML file and overridden by the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.cli import data_options
from codesign.fpga import devices
from codesign.results import OLD_OPTIONS, STUDY, Budget, SearchSettings, UserError
from models.files import yaml_io
from models.files.nodes import build

if TYPE_CHECKING:
    from codesign.explore import ExploreSettings

CLOCKS = (
    "images per second are counted at the clock that each NPU is estimated to reach, the lower end "
    "of a 90 % interval, for the slowest ECP5; codesign synth --place measures it"
)


@dataclass(frozen=True)
class SearchOptions(SearchSettings):
    """Options of ``explore`` under their names with underscores, in the units of the command line.

    Those whose value goes to the search unchanged are inherited. Raises ValueError, whose message
    starts with the field's name, for a value out of range.

    >>> SearchOptions(device="xc7a50t", lut_budget=20000).budget().luts
    20000
    """

    lut_budget: float | None = None
    dsp_budget: float = 0
    """Most DSP slices; 0: all products are made in LUTs."""
    bram_budget: float | None = None
    """Most 36 Kb block RAMs; None: the device's, else no limit."""
    ff_budget: float | None = None
    device: str | None = None
    """A part of constraints/devices.yaml, whose resources limit every budget."""
    clock_mhz: float | None = None
    """Clock in MHz; None: the device's, or 100 without a device. That of an ECP5 is the lower end
    of what each NPU is estimated to reach (90 % interval)."""
    min_throughput: float | None = None
    """Fewest images per second, back to back; None: no limit."""
    max_latency_us: float | None = None
    max_bit_operations: float | None = None
    max_lut_us: float | None = None
    data_dir: str | None = None
    """Folder with the data set's files; None: none."""
    area_model: str | None = None
    """A model file of ``calibrate``; None: the model of the shipped data."""
    boo_within: float | None = None
    """Validation accuracy in percentage points (0..100) to trade for fewer one-bits; None: do not
    trade."""
    min_accuracy: float | None = None
    """Validation accuracy in percent, at the epoch kept, that is enough; None: as good as the best
    for the validation images."""
    keep_accuracy: float | None = None
    """Most percentage points of validation accuracy that may be lost against ``network``; None: as
    ``min_accuracy`` says."""
    out: str = "runs/explore"
    """Folder of the search."""
    storage: str | None = dataclasses.field(default=None, repr=False)
    """Path of a journal, or URL of a database, with the trials; None: a journal in ``out``."""
    study: str = STUDY
    """Name of the study in the storage."""
    time_limit: float | None = None
    """Minutes for search and training, which are longer or shorter by it, None without limit;
    build, synthesis and simulation take some more."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("lut_budget", 1, math.inf),
            ("dsp_budget", 0, math.inf),
            ("bram_budget", 0, math.inf),
            ("ff_budget", 1, math.inf),
            ("clock_mhz", 1, 1000),
            ("min_throughput", 0, math.inf),
            ("max_latency_us", 1e-3, math.inf),
            ("max_bit_operations", 1, math.inf),
            ("max_lut_us", 1e-3, math.inf),
            ("area_confidence", 0.5, 0.99),
            ("networks", 1, 10000),
            ("finish", 1, 10000),
            ("folds", 1, 50),
            ("min_accuracy", 0, 100),
            ("keep_accuracy", 0, 100),
            ("finetune", 0, 10000),
            ("epochs", 2, 10000),
            ("boo", 0, 1000),
            ("boo_within", 0, 100),
            ("seed", 0, 2**31 - 1),
            ("time_limit", 0.1, math.inf),
            ("jobs", 1, 256),
            ("images", 1, 10000),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                allowed = f">= {low:g}" if high == math.inf else f"{low:g}..{high:g}"
                raise ValueError(f"{name} must be {allowed}, not {value:g}")

    def settings(self) -> ExploreSettings:
        """Convert to the types and units of the search: paths, fractions and seconds.

        Raises UserError as ``budget`` does, or for an unknown strategy; ConfigError for an invalid
        prefix.
        """
        budget = self.budget()
        # The search takes seconds to import, so the options are checked first.
        from codesign.explore import ExploreSettings

        return ExploreSettings(
            budget=budget,
            out=Path(self.out),
            device=devices.get(self.device) if self.device else None,
            data_dir=Path(self.data_dir) if self.data_dir else None,
            area_model=Path(self.area_model) if self.area_model else None,
            boo_within=None if self.boo_within is None else self.boo_within / 100,
            min_accuracy=None if self.min_accuracy is None else self.min_accuracy / 100,
            keep_accuracy=None if self.keep_accuracy is None else self.keep_accuracy / 100,
            time_limit_s=60 * self.time_limit if self.time_limit else None,
            storage=self.storage,
            study=self.study,
            notes=self.cut(),
            **{
                **self.shared(),
                "warm_start": tuple(self.warm_start),
                "objectives": tuple(self.objectives),
                "zoo": tuple(self.zoo),
            },
        )

    def cut(self) -> tuple[str, ...]:
        """Return a sentence for each budget that is larger than what the device holds.

        Another one says so where clocks are estimated. Raises UserError for an unknown device.
        """
        if self.device is None:
            return ()
        part = devices.get(self.device)
        timed = () if self.clock_mhz or part.clock_mhz else (CLOCKS,)
        return timed + tuple(
            f"{part.name} holds {held:,g} {name}, so the budget of {own:,g} is cut to that"
            for own, held, name in (
                (self.lut_budget, part.luts, "LUTs"),
                (self.ff_budget, part.ffs, "flip-flops"),
                (self.bram_budget, part.brams, "36 Kb block RAMs"),
                (self.dsp_budget, part.dsps, "DSP slices"),
            )
            if own is not None and own > held
        )

    def budget(self) -> Budget:
        """Return the hard limits: the smaller of each budget and the device's resources.

        A limit that neither gives is None: no limit. Raises UserError for an unknown device, or if
        neither --lut-budget nor --device is given.
        """
        part = devices.get(self.device).budget() if self.device else None
        if self.lut_budget is None and part is None:
            raise UserError("give a budget: --lut-budget N or --device NAME")

        def limit(own: float | None, held: float | None) -> float | None:
            known = [value for value in (own, held) if value is not None]
            return min(known) if known else None

        return Budget(
            luts=limit(self.lut_budget, part.luts if part else None),
            ffs=limit(self.ff_budget, part.ffs if part else None),
            brams=limit(self.bram_budget, part.brams if part else None),
            dsps=limit(self.dsp_budget, part.dsps if part else None),
            max_latency_us=self.max_latency_us,
            min_throughput=self.min_throughput,
            max_bit_operations=self.max_bit_operations,
            max_lut_us=self.max_lut_us,
            clock_mhz=self.clock_mhz or (part or Budget()).clock_mhz,
        )


def merge(config: Path | None, given: Mapping[str, Any]) -> SearchOptions:
    """Return the options of a YAML file, overridden by those of ``given`` that are not None.

    Names in ``given`` that are no search options are ignored. Raises YamlError with file and line
    for the YAML file, UserError for a value in ``given`` that is out of range or, as for
    TrainingChoices, does not go with the others.
    """
    base = _load(config) if config else SearchOptions()
    names = {field.name for field in dataclasses.fields(SearchOptions)}
    said = {name: value for name, value in given.items() if value is not None}
    try:
        training = data_options.training(base.training, said)
        changed = {name: value for name, value in said.items() if name in names}
        return dataclasses.replace(base, **{**changed, "training": training})
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {rest}") from None


def _load(config: Path) -> SearchOptions:
    """Read the options of a YAML file, whose names may be old ones (OLD_OPTIONS).

    Raises YamlError with file and line.
    """
    node = yaml_io.load(config)
    given = node.mapping()
    for old, new in OLD_OPTIONS.items():
        if old in given and new in given:
            raise given[old].error(f"is the old name of {new}; give only one of them")
    named = {OLD_OPTIONS.get(name, name): child for name, child in given.items()}
    if "strategy" in named and ":" in str(named["strategy"].value):
        raise named["strategy"].error(
            "names a module, whose code would run, and a search file runs none: give --strategy"
        )
    return build(dataclasses.replace(node, value=named), SearchOptions)
