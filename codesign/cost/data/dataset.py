"""The synthesis data set: what whole NPUs take, one CSV row a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.data.config_csv import Figure, Layout
from rtl_gen.config import NpuConfig

SHIPPED = Path(__file__).parent / "synthesis_xc7.csv"
"""Yosys ``synth_xilinx -family xc7`` of whole NPUs, made by cost.characterization."""


@dataclass(frozen=True)
class Row:
    """One synthesised configuration."""

    config: NpuConfig
    luts: float
    lutrams: float
    ffs: float
    brams: float
    """36 Kb block RAMs; an 18 Kb one is half of one."""
    dsps: float
    rtl_hash: str
    """First 12 hexadecimal digits of the SHA-256 of the Verilog: another generator, another one."""
    tool: str
    date: str
    """ISO date of the run."""
    seconds: float
    """That synthesis took."""


MEASURED = ("luts", "lutrams", "ffs", "brams", "dsps")
LAYOUT = Layout(Row, {name: Figure(0.5 if name == "brams" else 1.0) for name in MEASURED})


def read(path: Path = SHIPPED) -> list[Row]:
    """All rows. Raises UserError naming file and line of what is wrong with it."""
    return LAYOUT.read(path)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace ``path`` by ``rows``, smallest first: the old file or the new one, never half.

    Raises OSError.
    """
    LAYOUT.write(path, rows)
