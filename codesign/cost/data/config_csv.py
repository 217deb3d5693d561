"""CSV files of measured NPUs: one row per configuration, read strictly, replaced atomically."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from codesign.results import UserError
from models.files.reading import told_as
from models.files.tables import read_csv, wrong_columns
from models.files.writing import atomic_file
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import OPTIONS, ConfigError

CONFIG_FIELDS = tuple(NpuConfig().to_dict())
"""Parameters of NpuConfig that have a column in every file: all but OPTIONS, in order."""
HASH_DIGITS = 12
"""Number of hexadecimal digits, the first ones, that the files keep of a hash."""
_DEFAULT = NpuConfig()


class ConfigRow(Protocol):
    """Columns that the rows of all files share, besides the measured figures."""

    @property
    def config(self) -> NpuConfig: ...
    @property
    def rtl_hash(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def date(self) -> str: ...
    @property
    def seconds(self) -> float: ...


R = TypeVar("R", bound=ConfigRow)


def key(row: ConfigRow) -> tuple[str, str]:
    """Return configuration hash and tool version, a pair that no two rows of a file share."""
    return row.config.hash, row.tool


def short_hash(config: NpuConfig) -> str:
    """Return the first HASH_DIGITS digits of a configuration's hash."""
    return config.hash[:HASH_DIGITS]


@dataclass(frozen=True)
class Figure:
    """Valid values of a measured column: ``low`` to ``high``, both included, in steps.

    >>> Figure(low=1.0, high=1000.0, what="counts are 1 to 1000").refusal(2.5)
    'cannot be 2.5: counts are 1 to 1000; is it in another unit?'
    """

    step: float | None = 1.0
    """Values are multiples of it; None allows any number."""
    low: float = 0.0
    high: float = math.inf
    what: str = "counts are whole (block RAMs in halves)"
    """Description of valid values, for error messages."""

    def refusal(self, value: float) -> str | None:
        """Return why ``value`` is invalid, or None if it is valid."""
        good = self.low <= value <= self.high
        if good and (self.step is None or (value / self.step).is_integer()):
            return None
        return f"cannot be {value:g}: {self.what}; is it in another unit?"


@dataclass(frozen=True)
class Layout(Generic[R]):
    """Columns of one kind of file: configuration, measured figures, provenance.

    Columns for the OPTIONS that some NPU of the file uses come last; without its column an option
    has its default in all rows.

    >>> from codesign.cost.data import dataset
    >>> list(dataset.LAYOUT.figures)
    ['luts', 'lutrams', 'ffs', 'brams', 'dsps']
    >>> min(row.luts for row in dataset.LAYOUT.read(dataset.SHIPPED)) > 1000
    True
    """

    row: Callable[..., R]
    """Constructor of a row, called by keyword with config, an NpuConfig, and with all further
    columns but config_hash: figures and seconds as numbers, the others as text."""
    figures: Mapping[str, Figure]
    """Measured columns and their valid values."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that every such file has, in order."""
        return (
            *CONFIG_FIELDS, *self.figures, "config_hash", "rtl_hash", "tool", "date", "seconds",
        )  # fmt: skip

    def read(self, path: Path) -> list[R]:
        """Return the rows of the file ``path``, in its order.

        Raises UserError that names the file and, unless it cannot be read, the first wrong line.
        """
        with told_as(UserError):
            lines = read_csv(path)
        columns = tuple(lines[0]) if lines else ()
        options = tuple(name for name in OPTIONS if name in columns)
        expected = (*self.columns, *options)
        if columns != expected:
            raise UserError(f"{path}:1: {wrong_columns(columns, expected)}")
        rows: dict[tuple[str, str], R] = {}
        for number, cells in enumerate(lines[1:], start=2):
            row = self._row(f"{path}:{number}", columns, cells)
            if key(row) in rows:
                raise UserError(f"{path}:{number}: {self._twice(rows[key(row)], row)}")
            rows[key(row)] = row
        return list(rows.values())

    def _twice(self, first: R, second: R) -> str:
        """Return the error message for two rows of one configuration.

        It names the first figure in which they differ, if there is one.
        """
        told = "this configuration is in the file twice"
        for name in self.figures:
            values = getattr(first, name), getattr(second, name)
            if values[0] != values[1]:
                return f"{told}, with {name} {values[0]:g} and {values[1]:g}"
        return told

    def _row(self, where: str, columns: Sequence[str], cells: Sequence[str]) -> R:
        if len(cells) != len(columns):
            raise UserError(f"{where}: {len(cells)} cells, not {len(columns)}")
        text = dict(zip(columns, cells, strict=True))
        try:
            numbers = {name: float(text[name]) for name in (*self.figures, "seconds")}
            values = {
                name: (str if isinstance(getattr(_DEFAULT, name), str) else int)(text[name])
                for name in (*CONFIG_FIELDS, *OPTIONS)
                if name in text
            }
            config = NpuConfig.from_dict(values)
        except ConfigError as error:
            raise UserError(f"{where}: {error}") from None
        except ValueError as error:
            raise UserError(f"{where}: not a number: {error}") from None
        if not all(math.isfinite(value) and value >= 0 for value in numbers.values()):
            raise UserError(f"{where}: numbers must be finite and >= 0")
        for name, figure in self.figures.items():
            if refusal := figure.refusal(numbers[name]):
                raise UserError(f"{where}: {name} {refusal}")
        if text["config_hash"] != short_hash(config):
            raise UserError(f"{where}: config_hash is not that of the configuration")
        source: dict[str, Any] = {name: text[name] for name in ("rtl_hash", "tool", "date")}
        return self.row(config=config, **source, **numbers)

    def write(self, path: Path, rows: Iterable[R]) -> None:
        """Write ``rows``, in ascending order of their first figure, to ``path``. Raises OSError.

        The file is replaced atomically; ``seconds`` are rounded to tenths.
        """
        text, rows = io.StringIO(), list(rows)
        used = set[str]().union(*(row.config.to_dict() for row in rows))
        columns = (*self.columns, *(name for name in OPTIONS if name in used))
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        first = next(iter(self.figures))
        for row in sorted(rows, key=lambda row: (getattr(row, first), row.config.hash)):
            cells = {**dataclasses.asdict(row.config), **vars(row)}
            cells |= {"config_hash": short_hash(row.config), "seconds": round(row.seconds, 1)}
            writer.writerow([_number(cells[name]) for name in columns])
        with atomic_file(path) as file:
            file.write(text.getvalue().encode())


def _number(value: object) -> object:
    """Return whole floats and flags as integers, so that counts have no decimal point.

    Other values are returned unchanged.
    """
    whole = isinstance(value, bool) or (isinstance(value, float) and value.is_integer())
    return int(value) if whole else value  # type: ignore[call-overload]


def of_one_tool(rows: Sequence[R]) -> list[R]:
    """Return the rows of the most frequent tool version, the alphabetically last one of equals.

    They keep their order; no rows have none.
    Counts of different versions are not mixed, as their technology mapping differs.
    """
    counts = Counter(row.tool for row in rows)
    most = max(counts, key=lambda tool: (counts[tool], tool), default="")
    return [row for row in rows if row.tool == most]
