"""Utilisation reports of Vivado, Yosys and nextpnr, read as Figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codesign.fpga import synthesis
from codesign.fpga.families import FAMILIES, Family
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
"""Rows of Vivado's ``report_utilization`` (UG835), by field of Figures; the first that is there
counts.

Reports after synthesis mark some rows with an asterisk.
"""
_HIERARCHICAL = {
    "luts": {"Total LUTs": 1.0},
    "lutrams": {"LUTRAMs": 1.0, "SRLs": 1.0},
    "ffs": {"FFs": 1.0},
    "brams": {"RAMB36": 1.0, "RAMB18": 0.5},
    "dsps": {"DSP Blocks": 1.0, "DSP48 Blocks": 1.0},
}
"""Field of Figures -> columns of ``report_utilization -hierarchical``, with the weight of each."""
_NEXTPNR = {
    "luts": ("TRELLIS_COMB",), "ffs": ("TRELLIS_FF",), "brams": ("DP16KD",),
    "dsps": ("MULT18X18D",),
}  # fmt: skip
"""Cell types of nextpnr-ecp5's report whose used cells are summed, by field of Figures."""
_HALF_BRAM = 0.5
"""36 Kb block RAMs of one DP16KD."""
_OTHER_NEXTPNR = {
    "ICESTORM_": "iCE40", "OXIDE_": "Nexus", "TRELLIS_SLICE": "ECP5 by a nextpnr before 0.5",
    "MISTRAL_": "Cyclone V", "SLICE_": "an AMD part", "BSRAM": "Gowin", "NX_": "NG-Ultra",
}  # fmt: skip
"""Start of a cell type -> what the nextpnr report is of, for the message that refuses it."""
_MOST = 10**9
"""Largest count that a report may hold."""


def read(path: Path) -> Figures:
    """Read the used resources from a report; those that it does not state are None.

    The format is detected: Vivado's report_utilization (text, flat, or hierarchical with the design
    in its first row), Yosys's ``stat -json`` (flattened or hierarchical: cells of a module count
    once per instance) for a family of families.FAMILIES, or nextpnr-ecp5's ``--report``, where cell
    types that are not counted are 0 and lutrams None. Raises UserError, naming the file, if it
    cannot be read or has any other content, such as cells that no family lists.
    """
    with told_as(UserError):
        text = read_bytes(path).decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        return _json(path, text)
    try:
        found = _hierarchical(text) or {
            resource: value
            for resource, names in _VIVADO.items()
            if (value := _vivado_row(text, names)) is not None
        }
    except ValueError:  # such as 1.2.3
        found = {}
    if "luts" not in found:
        raise UserError(
            f"{path}: not a report that is known: Vivado's report_utilization (text), "
            "Yosys's stat -json, or nextpnr-ecp5's --report"
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


def _hierarchical(text: str) -> dict[str, float]:
    """Return what Vivado's hierarchical table says of the whole design, its first row.

    Empty for a text without such a table. A cell may have a percentage behind its number.
    """
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    heads = [at for at, row in enumerate(rows) if row[:2] == ["Instance", "Module"]]
    if not heads:
        return {}
    head = rows[heads[0]]
    whole = next((row for row in rows[heads[0] + 1 :] if len(row) == len(head)), [])
    used = {
        name: float(number[0].replace(",", ""))
        for name, cell in zip(head, whole, strict=False)
        if (number := re.match(r"\d[\d,]*(\.\d+)?(?![\d.,])", cell))
    }
    return {
        resource: sum(weight * used[name] for name, weight in columns.items() if name in used)
        for resource, columns in _HIERARCHICAL.items()
        if columns.keys() & used.keys()
    }


def _json(path: Path, text: str) -> Figures:
    with told_as(UserError):
        data = parse_json(text, str(path))
    try:
        if "utilization" in data:
            return _nextpnr(data["utilization"])
        return _yosys(_cells(data))
    except (KeyError, TypeError, AttributeError, ValueError, YosysError) as error:
        raise UserError(
            f"{path}: neither Yosys's stat -json nor nextpnr-ecp5's --report: {error}"
        ) from None


def _cells(stat: Mapping[str, Any]) -> Counter[str]:
    """Return the primitives of the whole design with their counts, from Yosys's ``stat -json``.

    The design is the only module that no other instantiates. Raises ValueError if there is none or
    several, or for a count that is no integer 0.._MOST.
    """
    for body in stat["modules"].values():
        for name, count in body.get("num_cells_by_type", {}).items():
            _checked(name, count)
    modules = synthesis.module_cells(stat)
    inside = {name for cells in modules.values() for name in cells}
    tops = [name for name in modules if name not in inside]
    if len(tops) != 1:
        raise ValueError(f"one top module expected, not {', '.join(sorted(tops)) or 'none'}")
    total: Counter[str] = Counter()
    for name, copies in synthesis.count_instances(modules, tops[0]).items():
        for cell, count in modules[name].items():
            if cell not in modules:
                total[cell] += copies * count
    return total


def _checked(name: str, count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= _MOST:
        raise ValueError(f"{name} must be used 0..{_MOST} times, not {str(count)[:20]}")
    return count


def _yosys(cells: Mapping[str, int]) -> Figures:
    """Return the resources of the primitives, as the family that has most of them counts."""

    def known(family: Family) -> int:
        return sum(count for cell, count in cells.items() if cell in family.primitives)

    best = max(FAMILIES.values(), key=known)
    if not known(best):
        raise ValueError(f"no cells of a known family ({', '.join(FAMILIES)})")
    return best.figures(cells)


def _nextpnr(used: Mapping[str, Any]) -> Figures:
    if "TRELLIS_COMB" not in used:
        other = [
            of for start, of in _OTHER_NEXTPNR.items() if any(c.startswith(start) for c in used)
        ]
        raise ValueError(
            f"this nextpnr report is of {other[0]}, only ECP5 is read"
            if other
            else "no TRELLIS_COMB cells; of nextpnr's reports only those of ECP5 are read"
        )
    found = {
        resource: float(sum(_checked(c, used[c]["used"]) for c in cells if c in used))
        for resource, cells in _NEXTPNR.items()
    }
    found["brams"] *= _HALF_BRAM
    return Figures(**found)
