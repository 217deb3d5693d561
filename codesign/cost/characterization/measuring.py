"""Resumable measurement of many configurations into a CSV file, each of them once.

Each result is written when it arrives, by replacing the file atomically: a kill at any moment loses
only the measurements in progress.
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
from codesign.fpga import verilog_text
from codesign.results import UserError
from codesign.tools.processes import ToolError
from codesign.tools.workers import spread
from models.files.reading import told_as
from models.files.tables import read_csv
from models.files.writing import atomic_file
from rtl_gen import emit
from rtl_gen.config import NpuConfig

Progress = Callable[[str], None]
"""Receives progress messages, one line each."""
TIMEOUT_S = 1800.0
"""Default time limit of one measurement, in seconds."""
REASON_CHARACTERS = 300
"""Characters at the end of a failure's reason that are kept."""


class Found(Protocol):
    """Result of one measurement: any object whose ``row`` is the CSV row to keep."""

    @property
    def row(self) -> ConfigRow: ...


F = TypeVar("F", bound=Found)
R = TypeVar("R", bound=ConfigRow)


def rtl_hash(verilog: Mapping[str, str]) -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of Verilog files (name -> text).

    verilog: with plain names, as emit.verilog returns it. Comments, blank lines and the order of
    lines in a file do not count: the order depends on other modules.
    """
    text = ""
    for name, content in sorted(verilog.items()):
        lines = (line.rstrip() for line in verilog_text.code(content).splitlines())
        text += "\n".join((name, *sorted(line for line in lines if line), ""))
    return hashlib.sha256(text.encode()).hexdigest()[: config_csv.HASH_DIGITS]


class RowStore(Generic[R]):
    """Rows of a CSV file, and a second file of failures (configuration hash, reason).

    ``rows`` maps (configuration hash, tool version) to a row, ``failures`` a configuration hash to
    a reason. Files are made by the first ``add`` and ``fail``. Raises UserError for a bad file.

    >>> import tempfile
    >>> from codesign.cost.data import dataset
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = RowStore(Path(folder) / "mine.csv", dataset.LAYOUT)
    ...     store.add(dataset.read()[0])
    ...     len(RowStore(store.path, dataset.LAYOUT).rows)
    1
    """

    def __init__(self, path: Path, layout: Layout[R]) -> None:
        self.path, self.layout = path, layout
        self.failures_path = path.with_name(path.stem + "_failures" + path.suffix)
        rows = layout.read(path) if path.exists() else []
        self.rows = {config_csv.key(row): row for row in rows}
        self.failures = _failures(self.failures_path) if self.failures_path.exists() else {}

    def add(self, row: R) -> None:
        """Add a row to the file. Raises OSError.

        It replaces rows of the same configuration that were measured with other Verilog or by the
        same tool version, and removes the configuration from the failures.
        """
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
        """Record in the file of failures that a configuration failed, and why. Raises OSError.

        Lines of ``reason`` are joined by " | ", its last REASON_CHARACTERS kept. It replaces an
        earlier reason.
        """
        # The end of a tool's log tells the reason, its beginning only the name of the tool.
        self.failures[config.hash] = " | ".join(reason.splitlines())[-REASON_CHARACTERS:]
        self._write_failures()

    def _write_failures(self) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(sorted(self.failures.items()))
        with atomic_file(self.failures_path) as file:
            file.write(text.getvalue().encode())


def _failures(path: Path) -> dict[str, str]:
    with told_as(UserError):
        lines = read_csv(path)
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
    """Measure configurations that ``store`` lacks, the first ones, up to ``count`` rows in all.

    Failures are recorded in the store and not made up for by other configurations. Rows of all tool
    versions count towards ``count``. measure_one runs in ``jobs`` processes; add: adds its result
    to the store. refresh: first measure rows again whose Verilog is not that of the present
    generator, even if a refresh of them failed before, and beyond ``count``; an old row stays until
    the new one is added.
    retry: include configurations that failed before.

    Returns the configurations that failed with ToolError, each with the reason. Raises OSError when
    the store cannot be written, BrokenExecutor when a process died, and any other exception of
    measure_one. A configuration that is in ``configs`` twice is measured twice.
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
            progress(f"{done}/{len(missing)} {config.hash[:12]} failed: {found}")
            store.fail(config, found)
            continue
        left = (time.monotonic() - start) / done * (len(missing) - done)
        progress(
            f"{done}/{len(missing)} {_told(store, found)} in {found.row.seconds:.0f} s; "
            f"{left / 60:.0f} min left"
        )
        add(found)
    return failures


def _told(store: RowStore[R], found: Found) -> str:
    """Return the first two measured figures of a row as text "name value, name value"."""
    names = list(store.layout.figures)[:2]
    return ", ".join(f"{name} {getattr(found.row, name):g}" for name in names)


def _hashed(config: NpuConfig) -> tuple[NpuConfig, str]:
    """Return a configuration and the hash of its Verilog by the present generator."""
    return config, rtl_hash(emit.verilog(config))


def _outdated(rows: Iterable[ConfigRow], jobs: int) -> list[NpuConfig]:
    """Return configurations of ``rows`` none of whose rows has the present generator's Verilog.

    jobs: processes that generate it.
    """
    measured: dict[NpuConfig, set[str]] = {}
    for row in rows:
        measured.setdefault(row.config, set()).add(row.rtl_hash)
    today = dict(spread(_hashed, list(measured), jobs))
    return [config for config, hashes in measured.items() if today[config] not in hashes]


def _outcome(config: NpuConfig, measure_one: Callable[[NpuConfig], F]) -> tuple[NpuConfig, F | str]:
    """Return (configuration, measurement), or (configuration, reason) if ToolError was raised."""
    try:
        return config, measure_one(config)
    except ToolError as error:
        return config, str(error)
