"""Types of requests and results: budgets, settings of a search, figures, and infeasibility."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from models.training.choices import TrainingChoices


@dataclass(frozen=True)
class Figures:
    """Resources, cycles and clock of a design, estimated or measured.

    All sources (area model, simulation, synthesis, place and route) use these fields. A field is
    None where the source does not know it.

    >>> Figures(luts=20830, cycles_per_image=1341).to_dict()
    {'luts': 20830, 'cycles_per_image': 1341}
    """

    luts: float | None = None
    """LUTs of the family's kind, those used as distributed RAM and shift registers included."""
    lutrams: float | None = None
    """The part of ``luts`` that is used as distributed RAM and shift registers."""
    ffs: float | None = None
    """Flip-flops."""
    brams: float | None = None
    """Block RAMs in units of 36 Kb; an 18 Kb block counts as 0.5."""
    dsps: float | None = None
    """DSP slices (DSP48E1; 18 x 18 multipliers on ECP5)."""
    cycles_per_image: float | None = None
    """Latency of one image: clock cycles of a run, from start to END, memory waits included."""
    interval_cycles: float | None = None
    """Clock cycles from one image to the next when many are streamed back to back; None where
    activation memory has no room for the next image, so that they run one by one."""
    images_per_second: float | None = None
    """Throughput of many images: clock frequency over ``interval_cycles``, or over
    ``cycles_per_image`` where there are none."""
    fmax_mhz: float | None = None
    """Highest clock frequency in MHz on an ECP5 of the slowest speed grade (6)."""

    def at(self, clock_mhz: float) -> Figures:
        """Return the figures with the ``images_per_second`` that a clock gives their cycles."""
        cycles = self.interval_cycles or self.cycles_per_image
        rate = clock_mhz * 1e6 / cycles if cycles else None
        return dataclasses.replace(self, images_per_second=rate)

    def to_dict(self) -> dict[str, float]:
        """Return the known fields, those that are not None, by name."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value is not None}


RESOURCES = ("luts", "ffs", "brams", "dsps")
"""Fields of Figures and Budget that a device has a limited number of."""
DEFAULT_TRAINING = TrainingChoices()
_SAID_BY_UNIT = {*RESOURCES, "macs", "bit_operations", "lut_us"}
"""Limits of Infeasible whose unit says what they are: LUTs, flip-flops, ..."""
AREA_CONFIDENCE = 0.6
"""One-sided confidence level of the area bound that a budget is tested with: the fraction of unseen
configurations whose synthesised area is at or below it. Higher rejects more designs that would
have fitted."""
MOVES = ("bits", "channels", "zeros")
"""What may be changed of a network that a search starts from: bits of weights and activations,
channels that are cut, N:M patterns of layers. The NPU is chosen in any case."""
FINETUNE = 3
"""Epochs of fine-tuning where none are asked for."""
STUDY = "explore"
"""Name of the study of a search that is given no other."""
OLD_OPTIONS = {"optimiser": "strategy", "guard": "area_confidence"}
"""Option names of releases 0.1 and 0.2 that are still read, each with the name that replaces it."""


@dataclass(frozen=True)
class Budget:
    """Hard limits that a design must meet, each allowed itself; None is no limit.

    >>> Budget(luts=30000, min_throughput=5000).dsps  # no DSP slices unless asked for
    0
    """

    luts: float | None = None
    """Most LUTs after synthesis."""
    ffs: float | None = None
    """Most flip-flops."""
    brams: float | None = None
    """Most block RAMs, counted as in ``Figures.brams``."""
    dsps: float | None = 0
    """Most DSP slices; 0: all products are made in LUTs."""
    max_latency_us: float | None = None
    """Longest time from start to result of one image, in microseconds at ``clock_mhz``."""
    min_throughput: float | None = None
    """Lowest throughput at ``clock_mhz``, in images per second, as ``Figures`` has it."""
    max_bit_operations: float | None = None
    """Most bit operations of one image (LayerTable.bit_operations)."""
    max_lut_us: float | None = None
    """Largest product of LUTs and microseconds from image to image, estimated."""
    clock_mhz: float | None = 100.0
    """Clock in MHz that turns cycles into time; not a limit itself. None: the one that each NPU is
    estimated to reach on an ECP5 (TimingModel.safe_mhz)."""


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a search that the command line and ``codesign.explore`` share unchanged.

    >>> SearchSettings(networks=5).shared()["networks"]
    5
    """

    dataset: str = "digits"
    """Name or path that models.data.datasets.load takes."""
    space: str | None = None
    """A space file (*.yaml) or the name of a shipped one; None: chosen by the image's shape."""
    strategy: str = "guided"
    """Name in codesign.search.strategies.STRATEGIES, or ``module:Class`` for one of the user's."""
    area_confidence: float = AREA_CONFIDENCE
    """One-sided confidence level of the area bound that the budget is tested with."""
    seed: int = 0
    """Seed of the data split, the search, all trainings and the simulated stalls."""
    networks: int = 18
    """Number of networks that are trained briefly and compared."""
    network: str | None = None
    """Network folder (codesign import), file of weights (codesign train), or run or build folder
    (codesign explore) whose bits, channels and NPU are searched; None: networks are."""
    zoo: tuple[str, ...] = ()
    """Folders of networks as ``network`` is one, of which one is chosen with its changes; empty:
    none."""
    finetune: int = FINETUNE
    """Epochs of fine-tuning of each finalist of a search with ``network`` or ``zoo``; 0: calibrated
    only."""
    moves: str = ",".join(MOVES)
    """Which of MOVES a search with ``network`` or ``zoo`` may make, with commas between them."""
    warm_start: tuple[str, ...] = ()
    """Folders of earlier searches, whose trained networks say what to expect of others."""
    finish: int = 4
    """Most networks that are trained in full, of those trained briefly; a time limit lowers it."""
    prefer: str = "throughput"
    """One of goals.PREFERENCES: what decides between designs with equally accurate networks."""
    objectives: tuple[str, ...] = ()
    """Names in goals.GOALS of further objectives, beside accuracy, throughput and LUTs."""
    folds: int = 1
    """Splits of training and validation images that finalists are judged on; more cost a full
    training each, of every finalist."""
    epochs: int | None = None
    """Epochs of each full training; None: chosen by the size of the data set."""
    teacher: str | None = None
    """File of weights (codesign train), or build folder, of a network for the same data whose
    answers full trainings learn beside the labels; None: labels alone."""
    boo: float = 0.0
    """Weight of the one-bits per weight in the loss of all trainings (TrainSettings.boo)."""
    images: int = 64
    """Test images to verify in simulation."""
    jobs: int = 2
    """Processes for trainings and simulations; with 2 or more, synthesis runs beside training."""
    training: TrainingChoices = DEFAULT_TRAINING
    """Augmentation and class weights of all trainings."""
    layout: str = "auto"
    """Axes of an example in an .npz (models.data.layout.Layout); auto: guessed from the array's
    shape, which a note of the data set says."""
    resize: tuple[int, int] | None = None
    """(rows, columns) that all pictures are resized to; None: kept as they are."""
    prefix: str = ""
    """Text before the names of all Verilog modules (rtl_gen.naming)."""
    resume: bool = False
    """Continue the search in the output folder instead of replacing it."""

    def shared(self) -> dict[str, Any]:
        """Return the fields of SearchSettings by name, without those that a subclass adds."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(SearchSettings)}


@dataclass(frozen=True)
class Infeasible:
    """One violated constraint of a design that cannot be built; a result rather than an error.

    >>> print(Infeasible("weight_depth", "conv2", 288, 64, "words", ("raise npu.weight_depth",)))
    conv2: needs 288 words of weight_depth, has 64; raise npu.weight_depth
    """

    resource: str
    """Name of the violated limit: luts, latency_us, weight_depth, accumulator_bits, kernel, ..."""
    where: str
    """Layer, block or budget that needs the resource."""
    need: float
    """Amount that the design needs, in ``unit``."""
    have: float
    """Amount that is available, in ``unit``."""
    unit: str
    levers: tuple[str, ...]
    """Changes that would help, each an imperative phrase; one of them may be enough."""

    def __str__(self) -> str:
        text = f"{self.where}: needs {_amount(self.need)} {self._what()}, has {_amount(self.have)}"
        return f"{text}; {' or '.join(self.levers)}" if self.levers else text

    def _what(self) -> str:
        """Return the unit, with the resource where the unit does not say it."""
        if self.resource in _SAID_BY_UNIT:
            return self.unit
        of = self.resource.removesuffix("_us")
        return f"{self.unit} ({of})" if " " in self.unit else f"{self.unit} of {of}"


def _amount(value: float) -> str:
    """Return a number as text for a message, large ones without a fraction.

    A finite one of magnitude 100 or more is rounded up to a whole number, with commas between
    thousands; any other has up to 6 significant digits.
    """
    return f"{math.ceil(value):,}" if abs(value) >= 100 and math.isfinite(value) else f"{value:g}"


class InfeasibleError(Exception):
    """A design cannot be built, or a search found none within its budget.

    ``reasons`` holds the violated constraints that were found, ``remarks`` further sentences for
    the user, and ``details`` what they say as JSON values.
    """

    def __init__(
        self,
        reasons: tuple[Infeasible, ...],
        remarks: tuple[str, ...] = (),
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__("\n".join([*map(str, reasons), *remarks]))
        self.reasons, self.remarks, self.details = reasons, remarks, details

    def to_list(self) -> list[dict[str, Any]]:
        """Return the reasons as JSON objects: each the fields of Infeasible by name."""
        return [{**vars(reason), "levers": list(reason.levers)} for reason in self.reasons]


class UserError(Exception):
    """The user's input is wrong; the message says what, where and which values are allowed.

    The command line turns it into exit status 2.
    """
