"""Recomputes what the index claims of its designs, and compares."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.headline import index, measuring, stored
from benchmarks.headline.index import Entry
from benchmarks.headline.measuring import Measurement
from codesign.results import UserError
from models.data.raw import Part
from models.errors import ModelError
from models.files import temporary
from models.files.nodes import nearest
from models.files.reading import FileError
from sim import cache

JOBS = 2
"""Parts of measurements that run side by side, each on about one core."""


@dataclass(frozen=True)
class Verdict:
    """What was recomputed of one entry. Made by ``verify``."""

    found: dict[str, object]
    """The entry with its figures as recomputed; None where one was not."""
    differences: tuple[str, ...]
    """Sentences that name figure and both values, or what the simulation found wrong."""
    notes: tuple[str, ...]


def chosen(root: Path, name: str | None) -> list[Entry]:
    """Return the entries of the index, or the one of that name. Raises UserError, FileError."""
    entries = index.read(root)
    if not entries:
        raise UserError(f"{root / index.FOLDER / index.INDEX} lists no design")
    if name is None:
        return entries
    names = [entry.name for entry in entries]
    if name not in names:
        raise UserError(f"no design {name!r}; {nearest(name, names)}")
    return [entries[names.index(name)]]


@contextlib.contextmanager
def fresh_caches() -> Iterator[None]:
    """Let nothing that was kept before answer in the ``with`` block: its caches start empty."""
    before = os.environ.get(cache.VARIABLE)
    with temporary.folder("headline") as folder:
        os.environ[cache.VARIABLE] = str(folder)
        try:
            yield
        finally:
            os.environ.pop(cache.VARIABLE)
            if before is not None:
                os.environ[cache.VARIABLE] = before


def verify(
    root: Path,
    entries: Sequence[Entry],
    data: Path,
    *,
    clock: bool,
    tell: Callable[[str], object] = lambda line: None,
) -> Iterator[Verdict]:
    """Yield the verdict on each entry, in order, as soon as it is there.

    data: zip or folder of CIFAR-10. clock: also place and route. tell: called with what is done.
    Raises UserError, DatasetError, ModelError, FileError, InfeasibleError for bad input,
    ToolError and SimulationError where a tool fails.
    """
    test = measuring.read_test(data)
    tell(f"{len(test)} test images")
    with temporary.folder("headline") as work, ThreadPoolExecutor(JOBS) as pool:
        try:
            started = [
                _start(root, entry, test, pool, work / str(number), clock)
                for number, entry in enumerate(entries)
            ]
            for entry, one in zip(entries, started, strict=True):
                tell(f"{entry.name}: synthesis, simulation, accuracy")
                yield one if isinstance(one, Verdict) else _verdict(entry, one)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _start(
    root: Path,
    entry: Entry,
    test: Part,
    pool: ThreadPoolExecutor,
    folder: Path,
    clock: bool,
) -> Measurement | Verdict:
    """Start a measurement; where a changed file of integers is damaged, that is the verdict."""
    sha256 = stored.digest(root, entry)
    try:
        found = stored.load(root, entry)
    except (FileError, ModelError) as error:
        if sha256 == entry.network_sha256:
            raise
        wrong = index.differences(entry, {"network_sha256": sha256})
        nothing = dict.fromkeys(index.FIGURES) | {"network_sha256": sha256}
        return Verdict(index.to_dict(entry) | nothing, (*wrong, str(error)), ())
    return Measurement(found, test, pool, folder, clock=clock)


def _verdict(entry: Entry, measurement: Measurement) -> Verdict:
    found = measurement.result()
    values = dict.fromkeys(index.FIGURES) | dict(found.values)
    wrong = [*index.differences(entry, found.values)]
    wrong += [f"{entry.name}: simulation: {failure}" for failure in found.failures]
    notes = tuple(f"{entry.name}: {note}" for note in found.notes)
    return Verdict(index.to_dict(entry) | values, tuple(wrong), notes)
