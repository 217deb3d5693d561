"""Measure configurations one by one into a file: resumable, each one once.

Every result is written as it comes, files replaced whole, so a kill at any moment loses at most
the measurements in progress.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from codesign.cost.data import config_csv
from codesign.cost.data.config_csv import ConfigRow, Layout
from codesign.results import UserError
from codesign.tools.processes import ToolError
from codesign.tools.workers import spread
from models.files import atomic_file
from rtl_gen import emit
from rtl_gen.config import NpuConfig

Progress = Callable[[str], None]
TIMEOUT_S = 1800.0
REASON_CHARACTERS = 300
"""Of a failure that are kept, the last ones."""


class Found(Protocol):
    """What measuring one NPU gave."""

    @property
    def row(self) -> ConfigRow: ...


F = TypeVar("F", bound=Found)
R = TypeVar("R", bound=ConfigRow)


def rtl_hash(verilog: Mapping[str, str]) -> str:
    """Of the files by name, but for comments and the order of statements, which Yosys takes from
    other modules: the first 12 hexadecimal digits of their SHA-256."""
    text = ""
    for name, content in sorted(verilog.items()):
        lines = (line for line in content.splitlines() if not line.lstrip().startswith("//"))
        text += "\n".join((name, *sorted(lines), ""))
    return hashlib.sha256(text.encode()).hexdigest()[: config_csv.HASH_DIGITS]


class RowStore(Generic[R]):
    """The rows of a file, and beside it what failed: configuration hash and reason.

    Raises UserError for a bad file.
    """

    def __init__(self, path: Path, layout: Layout[R]) -> None:
        self.path, self.layout = path, layout
        self.failures_path = path.with_name(path.stem + "_failures" + path.suffix)
        rows = layout.read(path) if path.exists() else []
        self.rows = {config_csv.key(row): row for row in rows}
        self.failures = _failures(self.failures_path) if self.failures_path.exists() else {}

    def add(self, row: R) -> None:
        """Write it, in the place of rows that were measured with other Verilog of the same
        configuration. Raises OSError."""
        self.rows = {
            key: one
            for key, one in self.rows.items()
            if one.config != row.config or one.rtl_hash == row.rtl_hash
        }
        self.rows[config_csv.key(row)] = row
        self.layout.write(self.path, self.rows.values())
        if self.failures.pop(row.config.hash, None) is not None:
            self._write_failures()

    def fail(self, config: NpuConfig, reason: str) -> None:
        """Record it. Raises OSError."""
        # What a tool's log ends with is the reason; what stands before it is which tool it was.
        self.failures[config.hash] = " | ".join(reason.splitlines())[-REASON_CHARACTERS:]
        self._write_failures()

    def _write_failures(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(sorted(self.failures.items()))
        with atomic_file(self.failures_path) as file:
            file.write(text.getvalue().encode())


def _failures(path: Path) -> dict[str, str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise UserError(f"{path}:{number}: must be a configuration's hash and a reason")
    return dict(lines)


def measure_all(
    configs: Sequence[NpuConfig],
    store: RowStore[R],
    count: int,
    jobs: int,
    progress: Progress,
    measure_one: Callable[[NpuConfig], F],
    add: Callable[[F], None],
    *,
    refresh: bool = False,
    retry: bool = False,
) -> list[tuple[NpuConfig, str]]:
    """Measure ``configs`` that ``store`` does not hold until it holds ``count`` rows.

    add: puts what was found into the store. refresh: first measure again what is not current, also
    what failed at that before; an old row stays until its successor is there. retry: also those
    that failed before. Rows of all versions of the tools count.

    Returns the configurations that failed, each with the reason. Raises OSError when the store
    cannot be written.
    """
    skipped = set() if retry else set(store.failures)
    known = {config for config, _ in store.rows} | skipped
    missing = [config for config in configs if config.hash not in known]
    missing = missing[: max(count - len(store.rows), 0)]
    if refresh:
        old = _outdated(store.rows.values(), jobs)
        progress(f"{len(old)} of {len(store.rows)} were measured with other Verilog than today's")
        missing = [*old, *missing]
    progress(f"{len(store.rows)} of {count} are known, {len(missing)} to do")
    failures: list[tuple[NpuConfig, str]] = []
    start = time.monotonic()
    outcomes = spread(functools.partial(_outcome, measure_one=measure_one), missing, jobs)
    for done, (config, found) in enumerate(outcomes, start=1):
        if isinstance(found, str):
            failures.append((config, found))
            store.fail(config, found)
            progress(f"{done}/{len(missing)} {config.hash[:12]} failed: {found}")
            continue
        add(found)
        left = (time.monotonic() - start) / done * (len(missing) - done)
        progress(
            f"{done}/{len(missing)} {_told(store, found)} in {found.row.seconds:.0f} s; "
            f"{left / 60:.0f} min left"
        )
    return failures


def _told(store: RowStore[R], found: Found) -> str:
    """The first two figures of a row."""
    names = list(store.layout.figures)[:2]
    return ", ".join(f"{name} {getattr(found.row, name):g}" for name in names)


def _hashed(config: NpuConfig) -> tuple[NpuConfig, str]:
    """With the hash of the Verilog that today's generator writes."""
    return config, rtl_hash(emit.verilog(config))


def _outdated(rows: Iterable[ConfigRow], jobs: int) -> list[NpuConfig]:
    """Configurations of which no row was measured with today's Verilog."""
    measured: dict[NpuConfig, set[str]] = {}
    for row in rows:
        measured.setdefault(row.config, set()).add(row.rtl_hash)
    today = dict(spread(_hashed, list(measured), jobs))
    return [config for config, hashes in measured.items() if today[config] not in hashes]


def _outcome(config: NpuConfig, measure_one: Callable[[NpuConfig], F]) -> tuple[NpuConfig, F | str]:
    """The measurement, or why there is none."""
    try:
        return config, measure_one(config)
    except ToolError as error:
        return config, str(error)
