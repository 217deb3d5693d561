"""Puts a trained design into the front, with its measured figures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.headline import index, measuring, stored
from benchmarks.headline.index import Entry
from benchmarks.headline.measuring import Measurement
from codesign.build import build_folder, manifest
from codesign.build.imported import ImportedDesign
from codesign.build.imported import load as load_design
from codesign.report import stored as reports
from codesign.report.collect import TRAINING
from codesign.results import UserError
from models.files import temporary
from models.files.reading import read_bytes
from models.integer import files
from sim.simulator import SimulationError

LOG_BYTES = 4 << 20
"""Size of the largest training log."""


@dataclass(frozen=True)
class Source:
    """A trained design to put in. Raises UserError for a request that lacks something."""

    build: Path
    """Build folder of ``codesign build``, or the folder of an exploration."""
    name: str
    commands: tuple[str, ...]
    """Commands that made it, in order."""
    log: Path | None = None
    """Training log; None: the learning curves in the build folder."""
    earlier: int = 0
    """Networks given up for this one after their test accuracy was seen."""
    replace: bool = False
    """Put it in the place of the design of that name."""

    def __post_init__(self) -> None:
        if not self.commands:
            raise UserError("give the commands that made the design, in order, by --command")
        if self.earlier < 0:
            raise UserError(f"--earlier must be 0 or more, not {self.earlier}")


def add(root: Path, source: Source, data: Path, *, clock: bool) -> Entry:
    """Measure a trained design, write its folder and its entry in the index; return the entry.

    The test part of ``data`` is looked at once. Raises UserError, FileError, ModelError,
    DatasetError, InfeasibleError for bad input, SimulationError for a design whose simulation
    differs from its integers, ToolError, OSError.
    """
    others = index.read(root) if (root / index.FOLDER / index.INDEX).exists() else []
    before = [entry for entry in others if entry.name == source.name]
    if before and not source.replace:
        raise UserError(f"{source.name} is in the index; --replace puts this one in its place")
    folder = _build_of(source.build)
    design = load_design(folder / index.DESIGN)
    if isinstance(design, ImportedDesign):
        raise UserError(f"{folder} is of an imported network, which no design file describes")
    log = _log(source, folder)
    network = files.load(folder / build_folder.NETWORK)
    written, found = stored.renamed(design, network, source.name)
    with temporary.folder("headline") as work, ThreadPoolExecutor(2) as pool:
        test = measuring.read_test(data)
        figures = Measurement(found, test, pool, work / "build", clock=clock).result()
    if figures.failures:
        raise SimulationError(f"{source.name}: {figures.failures[0]}")
    entry = Entry(
        design=str(index.FOLDER / source.name / index.DESIGN),
        **{"fmax_mhz": None, **figures.values},  # type: ignore[arg-type]
        test_evaluations=1 + source.earlier + sum(one.test_evaluations for one in before),
        commands=source.commands,
    )
    written |= {log[0]: log[1], stored.README: stored.readme(entry).encode()}
    stored.write(root, source.name, written)
    index.write(root, [*(one for one in others if one not in before), entry])
    return entry


def _build_of(folder: Path) -> Path:
    """Return the build folder that is meant: itself, or that of an exploration."""
    if manifest.is_build(folder):
        return folder
    if not (folder / "summary.json").exists():
        raise UserError(f"{folder} is neither a build folder nor a finished codesign explore")
    summary = reports.read(folder, "summary")
    if not summary.get("build"):
        raise UserError(f"{folder}: this search built nothing")
    return reports.built(folder, summary)


def _log(source: Source, folder: Path) -> tuple[str, bytes]:
    """Return name and content of the training log. Raises UserError if there is none, FileError."""
    if source.log is not None:
        return f"training{source.log.suffix or '.log'}", read_bytes(source.log, LOG_BYTES)
    curves = folder / "reports" / f"{TRAINING}.json"
    if not curves.exists():
        raise UserError(f"{folder} holds no learning curves: give the training log by --log")
    return curves.name, read_bytes(curves, LOG_BYTES)
