"""One fault at a random moment of one command, and everything that is wrong afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from sim import cache
from tests.faults.injection import (
    CACHE,
    FAULTS,
    PROGRAMS,
    START,
    TEMPORARY,
    WORK,
    Ended,
    area,
    repair,
)
from tests.faults.jobs import JOBS, Job, copy_cache
from tests.paths import ROOT
from tests.processes import wait_for

MARKER = "CODESIGN_FAULT"
"""Environment variable that all processes of a command inherit."""
MOST_SECONDS = 300.0
"""Longest time until a command ends after a fault."""
STATUSES = {
    "kill": {-signal.SIGKILL},
    "terminate": {130, -signal.SIGTERM},
    "full disk": {1, 2},
    "read-only": {2},
    "missing tool": {1, 2},
    "little memory": {1, 2},
}
"""Exit statuses after a fault; 0 is always allowed, as the command may have needed nothing more.
(SIGTERM itself kills a command that has not begun to listen.)"""


@dataclass(frozen=True)
class Outcome:
    """What came of a fault."""

    job: str
    fault: str
    at_s: float
    status: int
    seconds: float
    """From the fault to the end of the command."""
    finished: int
    """Pieces of work, such as trials, that were finished when it ended."""
    wrong: tuple[str, ...]
    """What is wrong."""
    said: str
    """Last line of stderr."""


def clean(job: str, base: Path, warm: Path | None) -> float:
    """Run a command without a fault; return its seconds. Raises RuntimeError if it fails.

    warm: a cache to start with, or None, to leave one in ``base``.
    """
    with area(base, "") as place:
        JOBS[job].prepare(place / WORK)
        if warm is not None:
            copy_cache(warm, place / CACHE)
        start = time.monotonic()
        ended = _end(_start(JOBS[job], place, (), job), place)
        if ended.status:
            raise RuntimeError(f"{job} ends with status {ended.status}: {ended.told}")
        if wrong := _leftovers(place):
            raise RuntimeError(f"{job} leaves {wrong}")
        return time.monotonic() - start


def one(job: str, fault: str, at_s: float, base: Path, warm: Path) -> Outcome:
    """Start a command, do ``fault`` after ``at_s`` seconds, look, and run the command again."""
    doing = JOBS[job]
    with area(base, fault) as place:
        doing.prepare(place / WORK)
        copy_cache(warm, place / CACHE)
        process = _start(doing, place, START.get(fault, ()), base.name)
        time.sleep(at_s)
        before = doing.finished(place / WORK)
        if process.poll() is None:
            FAULTS[fault](process.pid, place)
        hit = time.monotonic()
        ended = _end(process, place)
        seconds = time.monotonic() - hit
        wrong = _said(fault, ended)
        wrong += [f"orphan: {line}" for line in _orphans(base.name)]
        wrong += doing.damage(place / WORK)
        after = doing.finished(place / WORK)
        wrong += [f"lost by the fault: {piece[:60]!r}" for piece in before - after]
        repair(place)
        again = _end(_start(doing, place, (), base.name), place)
        if again.status:
            wrong.append(f"the next run ends with status {again.status}: {again.told[-300:]}")
        wrong += doing.damage(place / WORK)
        lost = after - doing.finished(place / WORK)
        wrong += [f"lost by the next run: {piece[:60]!r}" for piece in lost]
        wrong += _leftovers(place)
    last = (ended.told.strip().splitlines() or [""])[-1]
    return Outcome(job, fault, at_s, ended.status, seconds, len(after), tuple(wrong), last)


def _start(job: Job, place: Path, before: tuple[str, ...], marker: str) -> subprocess.Popen[bytes]:
    with (place.parent / f"{place.name}.log").open("wb") as log:
        return subprocess.Popen(
            [*before, sys.executable, "-m", "codesign.cli", *job.command(place / WORK)],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": str(place / PROGRAMS),
                "TMPDIR": str(place / TEMPORARY),
                cache.VARIABLE: str(place / CACHE),
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                MARKER: marker,
            },
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes], place: Path) -> Ended:
    try:
        status = process.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    except BaseException:  # such as an interrupt
        process.kill()
        raise
    log = place.parent / f"{place.name}.log"
    return Ended(status, log.read_text(errors="replace"))


def _said(fault: str, ended: Ended) -> list[str]:
    """Return what is wrong with how a command ended after a fault."""
    wrong = []
    if ended.status and ended.status not in STATUSES[fault]:
        wrong.append(f"status {ended.status}: {ended.told[-300:]}")
    if "Traceback" in ended.told:
        wrong.append(f"a traceback: {ended.told[-1000:]}")
    if ended.status > 0 and "codesign: " not in ended.told:
        wrong.append(f"no message: {ended.told[-300:]}")
    return wrong


def _orphans(marker: str) -> list[str]:
    """Return the command lines of processes of a command that still run ten seconds later."""

    def running() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARKER}={marker}\0".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " ")[:200])
            except OSError:  # it ended this moment, or is another user's
                continue
        return found

    try:
        wait_for(lambda: not running(), seconds=10)
    except TimeoutError:
        return running()
    return []


def _leftovers(place: Path) -> list[str]:
    """Return temporary files and half-written ones in the folders that a command uses."""
    kinds = (folder for folder in (place / CACHE).iterdir() if folder.is_dir())
    left = [entry.path for kind in kinds for entry in cache.entries(kind) if entry.left]
    left += (place / TEMPORARY).iterdir()
    for top in (WORK, CACHE):
        left += (path for path in (place / top).rglob("*") if path.name.endswith(".tmp"))
        left += (path for path in (place / top).rglob(".*") if path.name != ".gitignore")
    return [f"left behind: {path.relative_to(place)}" for path in sorted(set(left))]


def remove(base: Path) -> None:
    """Remove an area with its log."""
    shutil.rmtree(base, ignore_errors=True)
    base.with_name(f"{base.name}.log").unlink(missing_ok=True)
