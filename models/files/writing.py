"""Atomic file writes: a killed process or a full disk never leaves half a file at its path.
Also the content of .npz files, the same bytes for the same arrays.

A link in a file's place is replaced or refused, not written through; ``inside`` keeps names within
the folder that is meant.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
import secrets
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.files.reading import FileError, escaped, quoted


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


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the content of a compressed .npz file; equal arrays give equal bytes.

    It holds no time stamps, and its arrays are sorted by name.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(arrays.items()):
            member = io.BytesIO()
            plain = np.asarray(array, order="C")  # ascontiguousarray would add a dimension to ()
            np.lib.format.write_array(member, plain, allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    return stream.getvalue()


def inside(folder: Path, name: str) -> Path:
    """Return the path of ``name`` in a folder, which it must not leave by ``..`` or a link.

    name: a relative path; what does not exist is no link. Raises FileError for an empty or absolute
    name, any ``..`` in it, a name that the file system does not take, and any link below
    ``folder``, wherever it leads.
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\0" in name:
        raise FileError(f"{escaped(str(folder))}: {quoted(name)} lies outside this folder")
    path = folder
    for part in parts:
        path = path / part
        try:
            os.fsencode(part)
            linked = path.is_symlink()
        except (OSError, ValueError):  # too long, or not of characters that names may have
            raise FileError(f"{escaped(str(folder))}: {quoted(name)} is no file name") from None
        if linked:
            raise FileError(f"{escaped(str(path))}: is a link, which could lead out of its folder")
    return path


def check_own(path: Path) -> None:
    """Refuse what must not be appended to: a link, a file of two names, anything but a file.

    What does not exist may be created. Raises FileError.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        what = "has another name, too (a hard link)"
        kind = "is a link" if stat.S_ISLNK(status.st_mode) else "is no regular file"
        shown = what if stat.S_ISREG(status.st_mode) else kind
        raise FileError(f"{escaped(str(path))}: {shown}; nothing is written through it")


def aside(path: Path, end: str = ".tmp") -> Path:
    """Return a random temporary path beside ``path``, in the same file system; create nothing."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{end}")


def leftovers(path: Path, end: str = ".tmp") -> list[Path]:
    """Return what is at paths of ``aside`` for ``path`` and whose process no longer exists."""
    name = re.compile(rf"\.{re.escape(path.name)}\.(\d+)-[0-9a-f]{{8}}{re.escape(end)}")
    found = []
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{end}"):
        match = name.fullmatch(left.name)
        if match and not Path("/proc", match[1]).exists():
            found.append(left)
    return found


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders (``aside``) of ``path`` whose process no longer exists."""
    for left in leftovers(path):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
