"""Folders and files that are this user's alone, such as caches: whoever writes them could harm.

It needs the standard library alone, as build folders carry a copy.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import BinaryIO

from .reading import FileError, escaped

_NOBODY = 65534
"""User that owns, within a container, what belongs to users outside of it."""


def check_above(folder: Path) -> None:
    """Refuse a folder that others could replace, with one of those that it lies in.

    folder: absolute and without links (``Path.resolve``). What does not exist is passed over.
    Raises FileError if a folder above it belongs to another user than root, or others can write it
    (unless it is sticky, as ``/tmp``, where they can replace nothing of this user's).
    """
    for place in reversed(folder.parents):
        with contextlib.suppress(FileNotFoundError):
            status = place.stat()
            if status.st_uid not in (os.geteuid(), 0, _NOBODY):
                raise FileError(f"{_shown(folder)} lies in {_shown(place)}, which {_owned(status)}")
            if others_write(status) and not status.st_mode & stat.S_ISVTX:
                raise FileError(f"{_shown(folder)} lies in {_shown(place)}, which others can write")


def own_folder(folder: Path) -> None:
    """Create a folder for this user alone, if it is missing, and check that it is.

    Missing folders above it are created likewise. Raises FileError for a link, and for a folder
    that is another user's or that others can write; OSError when it cannot be created.
    """
    for place in (*reversed(folder.parents), folder):
        if not os.path.lexists(place):
            place.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise FileError(f"{_shown(folder)} is a link")
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if status.st_uid != os.geteuid():
        raise FileError(f"{_shown(folder)} {_owned(status)}")
    if others_write(status):
        raise FileError(
            f"{_shown(folder)} can be written by others, so what lies in it may be theirs (delete "
            "the folder)"
        )


def opened_own(path: Path) -> BinaryIO:
    """Open a file for reading. Raises OSError, also for a link and for what others can write."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115
    status = os.fstat(file.fileno())
    own = status.st_uid == os.geteuid() and not others_write(status)
    if not (own and stat.S_ISREG(status.st_mode)):
        file.close()
        raise PermissionError(f"{path} is not this user's own file")
    return file


def others_write(status: os.stat_result) -> bool:
    """Return True if anyone but the owner may write; a group numbered like its user is private."""
    mask = stat.S_IWOTH | (stat.S_IWGRP if status.st_gid != status.st_uid else 0)
    return bool(status.st_mode & mask)


def _shown(path: Path) -> str:
    return escaped(str(path))


def _owned(status: os.stat_result) -> str:
    try:
        owner = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        owner = str(status.st_uid)
    return f"belongs to user {owner}, not to you"
