"""The timing data set: the highest clock of whole NPUs, one CSV row a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.data.config_csv import Figure, Layout
from codesign.cost.data.dataset import SHIPPED as SYNTHESIS
from codesign.fpga.placement import DEVICE as PLACED_DEVICE
from rtl_gen.config import NpuConfig

DEVICE = PLACED_DEVICE
"""That the rows were placed on; its fabric is that of the smaller parts."""


@dataclass(frozen=True)
class TimingRow:
    """One placed and routed configuration."""

    config: NpuConfig
    sites: float
    """TRELLIS_COMB: LUT4s and carry bits."""
    fmax_mhz: float
    rtl_hash: str
    """As in the synthesis data."""
    tool: str
    """Of place and route and of synthesis, with part, speed grade, target and seed."""
    date: str
    seconds: float
    """That synthesis, placing and routing took."""


LAYOUT = Layout(
    TimingRow,
    {
        "sites": Figure(),
        "fmax_mhz": Figure(None, 1.0, 1000.0, "an FPGA's clock is 1 to 1000 MHz"),
    },
)


def beside(path: Path = SYNTHESIS) -> Path:
    """The timing file of a synthesis data set."""
    return path.with_name(f"{path.stem}_ecp5{path.suffix}")


def read(path: Path) -> list[TimingRow]:
    """All rows. Raises UserError naming file and line of what is wrong with it."""
    return LAYOUT.read(path)


def write(path: Path, rows: Iterable[TimingRow]) -> None:
    """Replace ``path``: the old file or the new one, never half. Raises OSError."""
    LAYOUT.write(path, rows)
