"""Locks between processes that the operating system releases when their holder ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from codesign.results import UserError
from models.files.reading import told_as
from models.files.writing import check_own


@contextlib.contextmanager
def held(path: Path, doing: str) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path`` during the ``with`` block.

    The file is created, holds the process id, and is removed at the end. A kill releases the lock,
    so a file that it leaves blocks nobody. On file systems without locks nothing is locked. Raises
    UserError, which starts with ``doing``, when the lock is held already, by another process or by
    this one, and for a link in the file's place; OSError if the file cannot be created.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / ".lock"
    ...     with held(path, "a run is going on"):
    ...         int(path.read_text()) == os.getpid()
    True
    """
    descriptor = _lock(path, doing)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        # While it is locked, so that nobody's newer file is removed.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path: Path, doing: str) -> int:
    """Return the descriptor of the file at ``path``, created if missing, locked.

    On file systems without locks it is not locked. doing: start of the message. Raises UserError
    when the lock is held already, OSError if the file cannot be created.
    """
    while True:
        with told_as(UserError):
            check_own(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise UserError(f"{doing} (pid {holder or 'unknown'})") from None
        except OSError:  # this file system has no locks
            return descriptor
        # The holder before may have removed the file after it was opened here.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)
