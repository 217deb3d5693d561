"""Resources of each Verilog module of the synthesised NPUs, one CSV row per module and NPU.

The rows of an NPU add up exactly to its row in codesign.cost.data.dataset, as synthesis is
hierarchical. All memories of one kind in an NPU are one row, whatever their sizes.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.cost.data.config_csv import HASH_DIGITS
from codesign.cost.data.dataset import MEASURED, SHIPPED
from codesign.fpga.synthesis import ModuleUse
from codesign.results import UserError
from models.files import atomic_file

COLUMNS = ("config_hash", "module", "instances", *MEASURED)


@dataclass(frozen=True)
class ModuleRow:
    """Resources of all instances of a module in one NPU. Read by ``read``."""

    config_hash: str
    """First HASH_DIGITS digits of the configuration's hash."""
    module: str
    """Name of the Verilog module, without the prefix that Yosys adds to parametrised ones."""
    instances: int
    """Number of its instances, whose resources the other fields sum up (units as in Row)."""
    luts: float
    lutrams: float
    ffs: float
    brams: float
    dsps: float


def beside(path: Path = SHIPPED) -> Path:
    """Return the path of the module file of a data set file: a_modules.csv for a.csv."""
    return path.with_name(path.stem + "_modules" + path.suffix)


def of(config_hash: str, modules: Mapping[str, ModuleUse]) -> list[ModuleRow]:
    """Return the rows of one NPU, one for each module name without the prefix that Yosys adds.

    config_hash: hash of its configuration; modules: ``Synthesis.by_module``, module -> instances
    and resources of each.
    """
    found: dict[str, ModuleRow] = {}
    for module, use in modules.items():
        name = module.rsplit("\\", 1)[-1]
        each = use.each.to_dict()
        known = found.get(name)
        sums = {
            m: use.instances * float(each[m] or 0) + (getattr(known, m) if known else 0.0)
            for m in MEASURED
        }
        count = use.instances + (known.instances if known else 0)
        found[name] = ModuleRow(config_hash[:HASH_DIGITS], name, count, **sums)
    return list(found.values())


def read(path: Path) -> list[ModuleRow]:
    """Return the rows of the module file ``path``, in its order.

    Raises UserError that names the file and, unless it cannot be read, the first wrong line. Rows
    that occur twice are not refused.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise UserError(f"{path}:1: the columns must be {', '.join(COLUMNS)}")
    return [_row(f"{path}:{number}", cells) for number, cells in enumerate(lines[1:], start=2)]


def _row(where: str, cells: list[str]) -> ModuleRow:
    if len(cells) != len(COLUMNS):
        raise UserError(f"{where}: {len(cells)} cells, not {len(COLUMNS)}")
    text = dict(zip(COLUMNS, cells, strict=True))
    try:
        numbers = {name: float(text[name]) for name in MEASURED}
        instances = int(text["instances"])
    except ValueError as error:
        raise UserError(f"{where}: not a number: {error}") from None
    if instances < 1 or not all(math.isfinite(n) and n >= 0 for n in numbers.values()):
        raise UserError(f"{where}: counts must be finite and >= 0, instances >= 1")
    return ModuleRow(text["config_hash"], text["module"], instances, **numbers)


def write(path: Path, rows: Iterable[ModuleRow]) -> None:
    """Write ``rows``, sorted by hash and module, to ``path``. Raises OSError.

    The file is replaced atomically; amounts have six significant digits.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: (row.config_hash, row.module)):
        cells = dataclasses.astuple(row)
        writer.writerow([f"{cell:g}" if isinstance(cell, float) else cell for cell in cells])
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())
