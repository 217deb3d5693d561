"""The synthesis data set: FPGA resources of whole NPUs, one CSV row per configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.data.config_csv import Figure, Layout
from rtl_gen.config import NpuConfig

SHIPPED = Path(__file__).parent / "synthesis_xc7.csv"
"""Results of Yosys ``synth_xilinx -family xc7``, made by codesign.cost.characterization."""


@dataclass(frozen=True)
class Row:
    """Synthesis result of one configuration. Read by ``read``."""

    config: NpuConfig
    luts: float
    """LUTs, those used as memory or shift register included."""
    lutrams: float
    """The part of ``luts`` that is used as memory (distributed RAM) or shift register."""
    ffs: float
    brams: float
    """36 Kb block RAMs; an 18 Kb one counts 0.5."""
    dsps: float
    rtl_hash: str
    """First 12 hexadecimal digits of the SHA-256 of the Verilog (measuring.rtl_hash)."""
    tool: str
    """Name and version of the synthesis tool."""
    date: str
    """ISO date of the run."""
    seconds: float
    """Duration of the synthesis in seconds."""


MEASURED = ("luts", "lutrams", "ffs", "brams", "dsps")
"""Measured columns, in the order of the file."""
LAYOUT = Layout(Row, {name: Figure(0.5 if name == "brams" else 1.0) for name in MEASURED})


def read(path: Path = SHIPPED) -> list[Row]:
    """Return the synthesised NPUs of a data set file, in its order.

    Raises UserError that names the file and, unless it cannot be read, the first wrong line.
    """
    return LAYOUT.read(path)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write ``rows`` to ``path``, fewest LUTs first, replacing it atomically. Raises OSError."""
    LAYOUT.write(path, rows)
