"""The timing data set: highest clock of whole NPUs, one CSV row per configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.data.config_csv import Figure, Layout
from codesign.cost.data.dataset import SHIPPED as SYNTHESIS
from codesign.fpga.placement import DEVICE as PLACED_DEVICE
from rtl_gen.config import NpuConfig

DEVICE = PLACED_DEVICE
"""Device that the rows were placed on; smaller devices of the family have the same fabric."""


@dataclass(frozen=True)
class TimingRow:
    """Place-and-route result of one configuration. Read by ``read``."""

    config: NpuConfig
    sites: float
    """Occupied TRELLIS_COMB sites: LUT4s and carry bits."""
    fmax_mhz: float
    """Highest clock frequency in MHz after routing."""
    rtl_hash: str
    """First 12 hexadecimal digits of the SHA-256 of the Verilog (measuring.rtl_hash)."""
    tool: str
    """Versions of place and route and of synthesis; device, speed grade, target clock and seed."""
    date: str
    """ISO date of the run."""
    seconds: float
    """Duration of synthesis, placement and routing in seconds."""


LAYOUT = Layout(
    TimingRow,
    {
        "sites": Figure(),
        "fmax_mhz": Figure(None, 1.0, 1000.0, "an FPGA's clock is 1 to 1000 MHz"),
    },
)


def beside(path: Path = SYNTHESIS) -> Path:
    """Return the path of the timing file of a synthesis data set file: a_ecp5.csv for a.csv."""
    return path.with_name(f"{path.stem}_ecp5{path.suffix}")


def read(path: Path) -> list[TimingRow]:
    """Return the placed NPUs of a timing file, in its order.

    Raises UserError that names the file and, unless it cannot be read, the first wrong line.
    """
    return LAYOUT.read(path)


def write(path: Path, rows: Iterable[TimingRow]) -> None:
    """Write ``rows`` to ``path``, fewest sites first, replacing it atomically. Raises OSError."""
    LAYOUT.write(path, rows)
