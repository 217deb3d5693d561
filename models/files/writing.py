"""Atomic file writes: a killed process or a full disk never leaves half a file at its path."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that becomes ``path`` when the block ends without an error.

    The data goes to a temporary file in the same folder; a missing folder is created, and
    leftovers are removed (``remove_leftovers``). Until the block ends, and for good after an error,
    the old file (or none) stays. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    new = aside(path)
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink()
        raise


def aside(path: Path) -> Path:
    """Return a random temporary path beside ``path``, in the same file system; create nothing."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders (``aside``) of ``path`` whose process no longer exists."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
