"""Data of a report as plain fields; collect fills them in, page draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codesign.fpga.placement import CriticalPath
from codesign.results import Budget, Figures
from models.training.history import Epoch
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class Candidate:
    """One design of a search, for the chart of its Pareto front.

    >>> Candidate("net-b on 4x16x16 d4", 0.982, 5400, 21000, on_front=True).one_bits is None
    True
    """

    label: str
    accuracy: float
    """Validation accuracy (0..1) after the training that ``trained_fully`` tells."""
    images_per_second: float
    """Estimated throughput."""
    luts: float
    """Estimated LUTs."""
    brams: float | None = None
    """Estimated 36 Kb block RAMs; None in folders of release 0.2 and older."""
    key: str | None = None
    """Hash of the network (genome.network_key); None in folders of release 0.2 and older."""
    trained_fully: bool = False
    """True if ``accuracy`` is of a full training, False if of a short one."""
    one_bits: int | None = None
    """One-bits of the magnitudes of all weights after that training; None if they are not an
    objective."""
    objectives: Mapping[str, float] = field(default_factory=dict)
    """Estimates of further objectives of the search by name (results.Goal.figure): latency_us,
    ..."""
    on_front: bool = False
    """True if no other design is as good in all objectives and better in one (Pareto front).

    Of designs equal in all objectives only the first is on the front."""
    chosen: bool = False


@dataclass(frozen=True)
class LayerRow:
    """One instruction of the program, for tables and charts.

    >>> row = LayerRow("conv1", "conv2d", "8 × 8 × 8", cycles=1000, macs=64_000, passes=2)
    >>> row.utilisation(NpuConfig(pixels=2, lanes=8, columns=16))
    0.5
    """

    name: str
    op: str
    """Layer type (conv2d, linear, ...), or opcode of another instruction: load, emit, fetch, ..."""
    output: str
    """Shape of the computed or moved tensor as text, ``16 × 8 × 8``; empty without a tensor."""
    cycles: int
    """Clock cycles that the compiler computed."""
    simulated_cycles: int | None = None
    """The same in simulation; None if not simulated."""
    macs: int = 0
    """Multiply-accumulates with whole weights, without those that zero weights let the program
    leave out; 0 for instructions other than LAYER."""
    accumulations: int = 0
    """Accumulators drained through the post-processing units (before pooling)."""
    weight_bits: int | None = None
    passes: int = 1
    """Bit-serial passes, one per weight digit: each MAC takes this many array products."""
    bound: str = ""
    """What most of a layer's cycles and stalls go to, of compiler.bottleneck.BOUNDS; empty for
    instructions other than LAYER."""

    def utilisation(self, npu: NpuConfig) -> float:
        """Return the fraction (0..1) of the array's products that were useful in ``cycles``.

        0 if these are 0.
        """
        return self.macs * self.passes / (self.cycles * npu.macs) if self.cycles else 0.0


@dataclass(frozen=True)
class ReportData:
    """All data of one report page; unknown parts (None, empty) are marked or left out.

    >>> data = ReportData("tiny", NpuConfig(), 100.0, estimate=Figures(luts=2013))
    >>> data.utilisation is None and data.bit_exact is None
    True
    """

    name: str
    npu: NpuConfig
    clock_mhz: float
    layers: tuple[LayerRow, ...] = ()
    """Instructions of the program, in order."""
    estimate: Figures | None = None
    simulated: Figures | None = None
    synthesised: Figures | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(low, high) of the estimate's prediction interval, by field of ``Figures``."""
    notes: tuple[str, ...] = ()
    """Warnings about the estimate or the clock, and what is left out as of another FPGA family."""
    budget: Budget | None = None
    device: str | None = None
    """Full ordering name of the part."""
    device_assumed: bool = False
    """True if nobody named the part."""
    capacity: Mapping[str, float] = field(default_factory=dict)
    """Amount that the device has, by resource."""
    accuracy_validation: float | None = None
    """Accuracy of the integer network, 0..1."""
    accuracy_test: float | None = None
    verified_images: int | None = None
    """Number of images that were simulated; None if not verified."""
    bit_exact: bool | None = None
    """True if simulation agreed in every bit, whatever the cycles; None if not verified."""
    mismatch: str | None = None
    """First failure of verification (values, cycles or a hardware test) as a sentence."""
    candidates: tuple[Candidate, ...] = ()
    """Designs of the search."""
    curves: Mapping[str, tuple[Epoch, ...]] = field(default_factory=dict)
    """Learning curves: of the ``full`` training and, after a search, of the ``short`` one."""
    score: str = "accuracy"
    """Name of the score of the curves' epochs (``Measures.number_name`` of models.tasks)."""
    critical_path: CriticalPath | None = None
    """Critical path found by place and route."""
    network_svg: str | None = None
    """Drawing of the network graph."""
    facts: tuple[tuple[str, str], ...] = ()
    """(Name, value) pairs in the order to show: data set, seed, tool versions, hashes."""

    @property
    def compute_cycles(self) -> int:
        """Compiled cycles of the layers, without those of streams and memory transfers."""
        return sum(row.cycles for row in self.layers if row.macs)

    @property
    def macs_per_image(self) -> int:
        """Multiply-accumulates of all layers, as LayerRow.macs counts them."""
        return sum(row.macs for row in self.layers)

    @property
    def utilisation(self) -> float | None:
        """Fraction (0..1) of the array's products that were useful during the layers' cycles.

        These are ``compute_cycles``; None if there are none.
        """
        if not self.compute_cycles:
            return None
        products = sum(row.macs * row.passes for row in self.layers)
        return products / (self.compute_cycles * self.npu.macs)
