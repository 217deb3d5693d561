"""Faults that hit a running command and all its processes, and what they need before it starts."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.processes import children

MEMORY_BYTES = 700 << 20
DISK_BYTES = 512 << 20
TOOLS = ("make", "g++", "perl", "sh")
WORK, CACHE, TEMPORARY, PROGRAMS = "work", "cache", "tmp", "bin"
"""Folders of an area: what the command writes, and what it uses."""


def kill(pid: int, area: Path) -> None:
    os.kill(pid, signal.SIGKILL)


def terminate(pid: int, area: Path) -> None:
    os.kill(pid, signal.SIGTERM)


def fill_disk(pid: int, area: Path) -> None:
    with contextlib.suppress(OSError), (area / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass


def forbid_writing(pid: int, area: Path) -> None:
    _set_mode(area / WORK, 0o555)


def remove_tools(pid: int, area: Path) -> None:
    for name in TOOLS:
        (area / PROGRAMS / name).unlink(missing_ok=True)


def limit_memory(pid: int, area: Path) -> None:
    for one in (pid, *children(pid)):
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(one, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


FAULTS: dict[str, Callable[[int, Path], None]] = {
    "kill": kill,
    "terminate": terminate,
    "full disk": fill_disk,
    "read-only": forbid_writing,
    "missing tool": remove_tools,
    "little memory": limit_memory,
}
"""Each is called with the command's process id and its area."""
START: dict[str, tuple[str, ...]] = {
    "read-only": ("setpriv", "--bounding-set=-dac_override,-dac_read_search"),
}
"""Commands before the command: without these capabilities, root obeys file modes, too."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    told: str
    """Its stderr."""


@contextlib.contextmanager
def area(path: Path, fault: str) -> Iterator[Path]:
    """Make the folders of a command; with "full disk" they are a file system of their own.

    Raises OSError where this user may not mount one.
    """
    path.mkdir()
    mounted = fault == "full disk"
    if mounted:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(path)],
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise OSError(errno.EPERM, "cannot mount a file system", str(path))
    try:
        for name in (WORK, TEMPORARY, PROGRAMS):
            (path / name).mkdir()
        for folder in reversed(os.environ["PATH"].split(os.pathsep)):
            for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
                (path / PROGRAMS / program.name).unlink(missing_ok=True)
                (path / PROGRAMS / program.name).symlink_to(program)
        yield path
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True)


def repair(path: Path) -> None:
    """Undo what the fault did to an area, so that the command can run again."""
    (path / "filler").unlink(missing_ok=True)
    _set_mode(path / WORK, 0o755)
    for name in TOOLS:
        found = shutil.which(name)
        if found and not (path / PROGRAMS / name).is_symlink():
            (path / PROGRAMS / name).symlink_to(found)


def _set_mode(top: Path, mode: int) -> None:
    for folder, _, _ in os.walk(top):
        Path(folder).chmod(mode)
