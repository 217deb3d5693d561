"""Synthesise configurations and append them to the data set: resumable, each one once.

Three files side by side: the NPUs, their modules (codesign.cost.module_data), and what failed.
Every result is written as it comes, files replaced whole, so a kill at any moment loses at most
the syntheses in progress.
"""

from __future__ import annotations

import csv
import datetime
import functools
import hashlib
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign import synth
from codesign.cost import dataset, module_data
from codesign.cost.dataset import Row
from codesign.cost.module_data import ModuleRow
from codesign.workers import spread
from codesign.yosys import YosysError
from models.files import atomic_file
from rtl_gen import emit
from rtl_gen.config import NpuConfig

Progress = Callable[[str], None]
TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Measurement:
    """One synthesised NPU."""

    row: Row
    modules: tuple[ModuleRow, ...]


def rtl_hash(verilog: Mapping[str, str]) -> str:
    """Of the files by name, but for comments and the order of statements, which Yosys takes from
    other modules: the first 12 hexadecimal digits of their SHA-256."""
    text = ""
    for name, content in sorted(verilog.items()):
        lines = (line for line in content.splitlines() if not line.lstrip().startswith("//"))
        text += "\n".join((name, *sorted(lines), ""))
    return hashlib.sha256(text.encode()).hexdigest()[: dataset.HASH_DIGITS]


def _current(row: Row) -> tuple[str, bool]:
    """Hash of the configuration; whether today's generator writes the Verilog that was measured."""
    return row.config.hash, rtl_hash(emit.verilog(row.config)) == row.rtl_hash


def measure(config: NpuConfig, timeout_s: float = TIMEOUT_S) -> Measurement:
    """Emit and synthesise one configuration. Raises YosysError."""
    verilog = emit.verilog(config)
    result = synth.synthesise(verilog, dsps=config.uses_dsps, timeout_s=timeout_s)
    found = result.figures.to_dict()
    row = Row(
        config=config,
        **{name: found[name] for name in dataset.MEASURED},
        rtl_hash=rtl_hash(verilog),
        tool=result.tool_version,
        date=datetime.date.today().isoformat(),
        seconds=result.seconds,
    )
    return Measurement(row, tuple(module_data.of(config.hash, result.by_module)))


class Store:
    """The files of a data set, and what they hold. Raises UserError for bad ones."""

    def __init__(self, path: Path) -> None:
        self.path, self.modules_path = path, module_data.beside(path)
        self.failures_path = path.with_name(path.stem + "_failures" + path.suffix)
        self.rows = {row.key: row for row in (dataset.read(path) if path.exists() else [])}
        self.modules: dict[str, list[ModuleRow]] = {}
        if self.modules_path.exists():
            for module in module_data.read(self.modules_path):
                self.modules.setdefault(module.config_hash, []).append(module)
        self.failures: dict[str, str] = {}
        if self.failures_path.exists():
            with self.failures_path.open(newline="", encoding="utf-8") as file:
                self.failures = dict(line[:2] for line in csv.reader(file))

    def add(self, found: Measurement) -> None:
        """Write it. The modules go first: those of no row are ignored. Raises OSError."""
        self.rows[found.row.key] = found.row
        self.modules[found.row.config.hash[: dataset.HASH_DIGITS]] = list(found.modules)
        held = {known[: dataset.HASH_DIGITS] for known, _ in self.rows}
        module_data.write(
            self.modules_path,
            [module for short, rows in self.modules.items() if short in held for module in rows],
        )
        dataset.write(self.path, self.rows.values())

    def fail(self, config: NpuConfig, reason: str) -> None:
        """Record it: configuration hash and reason. Raises OSError."""
        self.failures[config.hash] = reason.splitlines()[0]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(sorted(self.failures.items()))
        with atomic_file(self.failures_path) as file:
            file.write(text.getvalue().encode())


def characterize(
    configs: Sequence[NpuConfig],
    path: Path,
    count: int,
    jobs: int,
    progress: Progress,
    measure_one: Callable[[NpuConfig], Measurement] = measure,
    *,
    refresh: bool = False,
    retry: bool = False,
) -> list[tuple[NpuConfig, str]]:
    """Measure ``configs`` that ``path`` does not hold until it holds ``count`` rows.

    refresh: first measure again what is not current; an old row stays until its successor is
    there. retry: also those that failed before.

    Returns the configurations that failed, each with the reason. Raises UserError for a bad file,
    OSError when it cannot be written.
    """
    store = Store(path)
    skipped = set() if retry else set(store.failures)
    known = {key for key, _ in store.rows} | skipped
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
        store.add(found)
        left = (time.monotonic() - start) / done * (len(missing) - done)
        progress(
            f"{done}/{len(missing)} {found.row.luts:g} LUTs in {found.row.seconds:.0f} s; "
            f"{left / 60:.0f} min left"
        )
    return failures


def _outdated(rows: Iterable[Row], jobs: int) -> list[NpuConfig]:
    rows = list(rows)
    current = dict(spread(_current, rows, jobs))
    return [row.config for row in rows if not current[row.config.hash]]


def _outcome(
    config: NpuConfig, measure_one: Callable[[NpuConfig], Measurement]
) -> tuple[NpuConfig, Measurement | str]:
    """The measurement, or why there is none."""
    try:
        return config, measure_one(config)
    except YosysError as error:
        return config, str(error)
