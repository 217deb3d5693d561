"""Utilisation reports of Vivado, Yosys and nextpnr, read as Figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codesign.fpga.families import FAMILIES
from codesign.fpga.yosys import YosysError
from codesign.results import Figures, UserError
from models.files.reading import parse_json, read_bytes, told_as

_VIVADO = {
    "luts": ("Slice LUTs", "CLB LUTs"),
    "lutrams": ("LUT as Memory",),
    "ffs": ("Slice Registers", "CLB Registers"),
    "brams": ("Block RAM Tile",),
    "dsps": ("DSPs",),
}
"""Field of Figures -> rows of Vivado's ``report_utilization`` (UG835).

Reports after synthesis mark some rows with an asterisk.
"""
_NEXTPNR = {
    "luts": ("TRELLIS_COMB",), "ffs": ("TRELLIS_FF",), "brams": ("DP16KD",),
    "dsps": ("MULT18X18D",),
}  # fmt: skip
"""Field of Figures -> cell types of nextpnr-ecp5's report."""
_HALF_BRAM = 0.5
"""36 Kb block RAMs of one DP16KD."""


def read(path: Path) -> Figures:
    """Read the used resources from a report; those that it does not state are None.

    The format is detected: Vivado's report_utilization (text), Yosys's ``stat -json`` or nextpnr's
    ``--report``. The last must be for ECP5 (not checked); cell types that it does not list count as
    0, lutrams are None. A Yosys report is of a flattened design, or has totals of a hierarchical
    one. Raises UserError, naming the file, if it cannot be read or has any other content, such as
    cells that the family does not list.
    """
    with told_as(UserError):
        text = read_bytes(path).decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return _json(path, text)
    found = {
        resource: value
        for resource, names in _VIVADO.items()
        if (value := _vivado_row(text, names)) is not None
    }
    if "luts" not in found:
        raise UserError(
            f"{path}: not a report that is known: Vivado's report_utilization (text), "
            "Yosys's stat -json, or nextpnr's --report"
        )
    return Figures(**found)


def _vivado_row(text: str, names: tuple[str, ...]) -> float | None:
    for name in names:
        row = re.search(
            rf"^\|\s*{re.escape(name)}\*?\s*\|\s*([\d,]*\d(?:\.\d+)?)\s*\|", text, re.MULTILINE
        )
        if row:
            return float(row[1].replace(",", ""))
    return None


def _json(path: Path, text: str) -> Figures:
    with told_as(UserError):
        data = parse_json(text, str(path))
    try:
        if "utilization" in data:
            return _nextpnr(data["utilization"])
        cells = (data["design"] if "design" in data else _flat(data))["num_cells_by_type"]
        return _yosys(Counter({name.removeprefix("\\"): int(n) for name, n in cells.items()}))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"{path}: neither Yosys's stat -json nor nextpnr's --report: {error}"
        ) from None
    except YosysError as error:
        raise UserError(f"{path}: {error}") from None


def _flat(data: Mapping[str, Any]) -> Any:
    """Return the statistics of the only module of a flattened design."""
    (module,) = data["modules"].values()
    return module


def _yosys(cells: Mapping[str, int]) -> Figures:
    for family in FAMILIES.values():
        if any(cell in cells for cell in (*family.luts, *family.ffs)):
            return family.figures(cells)
    raise ValueError("no cells of a known family")


def _nextpnr(used: Mapping[str, Any]) -> Figures:
    found = {
        resource: float(sum(used[cell]["used"] for cell in cells if cell in used))
        for resource, cells in _NEXTPNR.items()
    }
    found["brams"] *= _HALF_BRAM
    return Figures(**found)
