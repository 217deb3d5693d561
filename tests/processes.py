"""Helpers that wait for processes and find the children of one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until ``condition`` holds. Raises TimeoutError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def all_gone(pids: Iterable[int]) -> bool:
    """Return True if all these processes end within ten seconds."""
    try:
        wait_for(lambda: not any(map(_runs, pids)), seconds=10)
    except TimeoutError:
        return False
    return True


def children(pid: int) -> list[int]:
    """Return the ids of all processes below ``pid``: children, their children, ..."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended this moment
            continue
        if int(fields[1]) == pid:
            child = int(stat.parent.name)
            found += [child, *children(child)]
    return found


def _runs(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
