"""What a report shows, as plain fields: whoever has figures fills them in, the page only draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codesign.fpga.placement import CriticalPath
from codesign.results import Budget, Figures
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class Candidate:
    """One design that a search looked at."""

    label: str
    accuracy: float
    """Share of validation images classified correctly, 0..1, as the search estimated it."""
    images_per_second: float
    luts: float
    one_bits: int | None = None
    """Of the weights of the short training, where they are an objective of the search."""
    on_front: bool = False
    chosen: bool = False


@dataclass(frozen=True)
class LayerRow:
    """One instruction of the layer program."""

    name: str
    op: str
    """conv2d, linear, ... or load, emit for the streams."""
    output: str
    """Shape of what it writes, for people: ``16 x 8 x 8``."""
    cycles: int
    """The compiler's count."""
    simulated_cycles: int | None = None
    macs: int = 0
    """Multiply-accumulates with full weights, those with zeros that the program leaves out not
    counted; 0 for streams."""
    accumulations: int = 0
    """Accumulators drained through the post-process units (before pooling)."""
    weight_bits: int | None = None
    passes: int = 1
    """Weight digit passes: each MAC takes this many array products."""

    def utilisation(self, npu: NpuConfig) -> float:
        """Share of the array's products that did useful work, 0..1."""
        return self.macs * self.passes / (self.cycles * npu.macs) if self.cycles else 0.0


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. Unknown parts (None, empty) are said to be unknown, or left out."""

    name: str
    npu: NpuConfig
    clock_mhz: float
    layers: tuple[LayerRow, ...] = ()
    estimate: Figures | None = None
    simulated: Figures | None = None
    synthesised: Figures | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Field of ``Figures`` -> ends of the estimate's prediction interval."""
    notes: tuple[str, ...] = ()
    """What speaks against believing the estimate, or against the clock."""
    budget: Budget | None = None
    device: str | None = None
    capacity: Mapping[str, float] = field(default_factory=dict)
    """Resource -> what the device holds."""
    accuracy_validation: float | None = None
    accuracy_test: float | None = None
    verified_images: int | None = None
    bit_exact: bool | None = None
    mismatch: str | None = None
    """Where the first difference was, when not bit-exact."""
    candidates: tuple[Candidate, ...] = ()
    critical_path: CriticalPath | None = None
    """From place and route."""
    network_svg: str | None = None
    facts: tuple[tuple[str, str], ...] = ()
    """Data set, seeds, tool versions, hashes: name and value, in the order to show."""

    @property
    def compute_cycles(self) -> int:
        """Cycles of the layers alone, without the streams."""
        return sum(row.cycles for row in self.layers if row.macs)

    @property
    def macs_per_image(self) -> int:
        return sum(row.macs for row in self.layers)

    @property
    def utilisation(self) -> float | None:
        """Array products that did useful work over those it could do in the layers' cycles."""
        if not self.compute_cycles:
            return None
        products = sum(row.macs * row.passes for row in self.layers)
        return products / (self.compute_cycles * self.npu.macs)
