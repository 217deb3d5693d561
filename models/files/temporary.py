"""Temporary folders that are found again: one that a killed process leaves, the next removes.

Each is locked by the process that made it, with a lock of the operating system on the folder
itself. It needs the standard library alone, as build folders carry a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = re.compile(r"codesign-[a-z]+-[0-9a-f]{16}\.tmp")


@contextlib.contextmanager
def folder(purpose: str, place: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder for the ``with`` block, readable by this user alone.

    purpose: a word of lower-case letters, part of its name. place: an existing folder to make it
    in; None: the system's for temporary files. What killed processes left there is removed first
    (``sweep``). Raises OSError.

    >>> with folder("example") as made:
    ...     _ = (made / "data").write_text("x")
    ...     made.name.startswith("codesign-example-")
    True
    >>> made.exists()
    False
    """
    place = Path(tempfile.gettempdir()) if place is None else place
    sweep(place)
    made, lock = _locked(place, purpose)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def place_without(characters: str, *preferred: Path) -> Path | None:
    """Return a writable folder whose whole path has none of ``characters``, None if there is none.

    It is the first of ``preferred``, the system's folder for temporary files, /tmp and /var/tmp.
    Some tools cannot work in folders with blanks or quotes in their paths.
    """
    for place in (*preferred, Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if set(characters).isdisjoint(str(place.resolve())) and os.access(place, os.W_OK):
            return place
    return None


def sweep(place: Path) -> None:
    """Remove temporary folders in ``place`` that are this user's and whose process has ended.

    Only what ``folder`` makes is looked at, by its name; a lock says that it is in use. On file
    systems without locks nothing is removed. What cannot be removed stays, without an error.
    """
    try:
        left = [path for path in place.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return
    for path in left:
        with contextlib.suppress(OSError):
            lock = _open(path)
            try:
                if os.fstat(lock).st_uid == os.getuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(place: Path, purpose: str) -> tuple[Path, int]:
    """Make a folder; return it with the descriptor that holds its lock. Raises OSError."""
    while True:
        made = place / f"codesign-{purpose}-{secrets.token_hex(8)}.tmp"
        made.mkdir(0o700)
        # Between these steps another process may take it for a leftover.
        with contextlib.suppress(FileNotFoundError):
            lock = _open(made)
            with contextlib.suppress(OSError):  # this file system has no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock), made.lstat()):
                    return made, lock
            os.close(lock)


def _open(path: Path) -> int:
    """Open a folder itself, through no link. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
