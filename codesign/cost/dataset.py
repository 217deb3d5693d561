"""The synthesis data set: one CSV row a configuration, read strictly, replaced atomically."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.results import UserError
from models.files import atomic_file
from rtl_gen.config import OPTIONS, ConfigError, NpuConfig

SHIPPED = Path(__file__).parent / "data" / "synthesis_xc7.csv"
"""Yosys ``synth_xilinx -family xc7`` of whole NPUs, made by codesign.cost.characterize."""
MEASURED = ("luts", "lutrams", "ffs", "brams", "dsps")
CONFIG_FIELDS = tuple(NpuConfig().to_dict())
COLUMNS = (*CONFIG_FIELDS, *MEASURED, "config_hash", "rtl_hash", "tool", "date", "seconds")
"""Followed by those of OPTIONS that an NPU of the file uses: without a column, none does."""
STEPS = {"brams": 2}
"""Of one: an 18 Kb block RAM is half a 36 Kb one."""
HASH_DIGITS = 12
"""Of the configuration's hash that the files hold."""
_DEFAULT = NpuConfig()


@dataclass(frozen=True)
class Row:
    """One synthesised configuration."""

    config: NpuConfig
    luts: float
    lutrams: float
    ffs: float
    brams: float
    dsps: float
    rtl_hash: str
    """First 12 hexadecimal digits of the SHA-256 of the Verilog: another generator, another one."""
    tool: str
    date: str
    """ISO date of the run."""
    seconds: float
    """That synthesis took."""

    @property
    def key(self) -> tuple[str, str]:
        """A configuration is measured once by each version of the tool."""
        return self.config.hash, self.tool


def read(path: Path = SHIPPED) -> list[Row]:
    """All rows. Raises UserError naming file and line of what is wrong with it."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    columns = tuple(lines[0]) if lines else ()
    options = tuple(name for name in OPTIONS if name in columns)
    if columns != (*COLUMNS, *options):
        wrong = sorted(set(COLUMNS) ^ set(columns))
        raise UserError(f"{path}:1: wrong columns, missing or unknown: {', '.join(wrong)}")
    rows: dict[tuple[str, str], Row] = {}
    for number, cells in enumerate(lines[1:], start=2):
        row = _row(f"{path}:{number}", columns, cells)
        if row.key in rows:
            raise UserError(f"{path}:{number}: {_twice(rows[row.key], row)}")
        rows[row.key] = row
    return list(rows.values())


def _twice(first: Row, second: Row) -> str:
    for name in MEASURED:
        values = getattr(first, name), getattr(second, name)
        if values[0] != values[1]:
            return "this configuration is in the file twice, with {} {:g} and {:g}".format(
                name, *values
            )
    return "this configuration is in the file twice"


def of_one_tool(rows: Sequence[Row]) -> list[Row]:
    """The rows of the tool version that most rows are of, the later one of two: versions map
    differently, so their counts are not mixed."""
    counts = Counter(row.tool for row in rows)
    most = max(counts, key=lambda tool: (counts[tool], tool), default="")
    return [row for row in rows if row.tool == most]


def _row(where: str, columns: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(columns):
        raise UserError(f"{where}: {len(cells)} cells, not {len(columns)}")
    text = dict(zip(columns, cells, strict=True))
    try:
        numbers = {name: float(text[name]) for name in (*MEASURED, "seconds")}
        knobs = {
            name: type(getattr(_DEFAULT, name))(text[name])
            for name in (*CONFIG_FIELDS, *OPTIONS)
            if name in text
        }
        config = NpuConfig(**knobs)
    except ConfigError as error:
        raise UserError(f"{where}: {error}") from None
    except ValueError as error:
        raise UserError(f"{where}: not a number: {error}") from None
    if not all(math.isfinite(value) and value >= 0 for value in numbers.values()):
        raise UserError(f"{where}: counts must be finite and >= 0")
    for name in MEASURED:
        if not (numbers[name] * STEPS.get(name, 1)).is_integer():
            raise UserError(
                f"{where}: {name} cannot be {numbers[name]:g}: counts are whole (block RAMs in "
                "halves); is it in another unit?"
            )
    if text["config_hash"] != _short(config):
        raise UserError(f"{where}: config_hash is not that of the configuration")
    return Row(
        config=config, rtl_hash=text["rtl_hash"], tool=text["tool"], date=text["date"], **numbers
    )


def _short(config: NpuConfig) -> str:
    return config.hash[:HASH_DIGITS]


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replace ``path`` by ``rows``, smallest first: the old file or the new one, never half.

    Raises OSError.
    """
    text, rows = io.StringIO(), list(rows)
    used = set[str]().union(*(row.config.to_dict() for row in rows))
    columns = (*COLUMNS, *(name for name in OPTIONS if name in used))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in sorted(rows, key=lambda row: (row.luts, row.config.hash)):
        cells = {**dataclasses.asdict(row.config), **dataclasses.asdict(row)}
        cells |= {"config_hash": _short(row.config), "seconds": round(row.seconds, 1)}
        writer.writerow([_number(cells[name]) for name in columns])
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def _number(value: object) -> object:
    """Whole floats without a decimal point, so that counts read as counts."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
