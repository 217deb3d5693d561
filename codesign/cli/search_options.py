"""The options of ``explore``: from a YAML file, overridden by the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.fpga import devices
from codesign.results import AREA_CONFIDENCE, OLD_OPTIONS, Budget, UserError
from models import yaml_io


@dataclass(frozen=True)
class SearchOptions:
    """What to search for; fields are the options of ``explore`` with underscores.

    Raises ValueError for a value out of range, naming the field.
    """

    lut_budget: float | None = None
    dsp_budget: float = 0
    """0: LUTs pay for all arithmetic."""
    bram_budget: float | None = None
    ff_budget: float | None = None
    device: str | None = None
    """A part of constraints/devices.yaml; what no budget says is limited by what it holds."""
    clock_mhz: float | None = None
    """Default: the device's, else 100."""
    min_throughput: float | None = None
    """Images per second."""
    max_latency_us: float | None = None
    dataset: str = "digits"
    data_dir: str | None = None
    space: str | None = None
    """A search space: a YAML file, or the name of a shipped one (default: by the images)."""
    optimiser: str = "evolution"
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the bounds of LUTs and FFs that the budget is tested with."""
    area_model: str | None = None
    """A model file of ``calibrate``; default: what the shipped data says."""
    networks: int = 14
    """Networks that are trained briefly and compared."""
    epochs: int | None = None
    """Of the chosen network's training; default: by the size of the data set."""
    boo: float = 0.0
    """Weight, in the loss of all trainings, of the one-bits per weight."""
    boo_within: float | None = None
    """Makes few one-bits an objective: points of validation accuracy that may be given for them."""
    seed: int = 0
    out: str = "runs/explore"
    time_limit: float | None = None
    """Minutes for search and training; build, synthesis and simulation come on top."""
    jobs: int = 2
    """Processes that train and synthesise side by side."""
    images: int = 64
    """Test images to verify in simulation."""
    resume: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("lut_budget", 1, math.inf),
            ("dsp_budget", 0, math.inf),
            ("bram_budget", 0, math.inf),
            ("ff_budget", 1, math.inf),
            ("clock_mhz", 1, 1000),
            ("min_throughput", 0, math.inf),
            ("max_latency_us", 1e-3, math.inf),
            ("area_confidence", 0.5, 0.99),
            ("networks", 1, 10000),
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

    def budget(self) -> Budget:
        """Hard limits of the search. Raises UserError for an unknown device or no limit at all."""
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
            clock_mhz=self.clock_mhz or (part.clock_mhz if part else 100.0),
        )


def merge(config: Path | None, given: Mapping[str, Any]) -> SearchOptions:
    """The file's options with those of ``given`` (None: not given; other names: none of ours) over
    them.

    Raises YamlError with file and line, UserError for a value of the command line.
    """
    base = _load(config) if config else SearchOptions()
    names = {field.name for field in dataclasses.fields(SearchOptions)}
    try:
        return dataclasses.replace(
            base, **{k: v for k, v in given.items() if k in names and v is not None}
        )
    except ValueError as error:
        name, _, rest = str(error).partition(" ")
        raise UserError(f"--{name.replace('_', '-')} {rest}") from None


def _load(config: Path) -> SearchOptions:
    """The options of a YAML file. Raises YamlError with file and line."""
    node = yaml_io.load(config)
    given = node.mapping()
    for old, new in OLD_OPTIONS.items():
        if old in given and new in given:
            raise given[old].error(f"is the old name of {new}, which is given, too")
    named = {OLD_OPTIONS.get(name, name): child for name, child in given.items()}
    return yaml_io.build(dataclasses.replace(node, value=named), SearchOptions)
