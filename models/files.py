"""Atomic file writes: a killed process or a full disk never leaves half a file at its path.

Also the content of .npz files, the same bytes for the same arrays.
"""

from __future__ import annotations

import contextlib
import glob
import io
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a binary file for writing that becomes ``path`` when the block ends without an error.

    The data goes to a temporary file in the same folder; a missing folder is created, and leftovers
    are removed (``remove_leftovers``). Until the block ends, and for good after an error in it,
    ``path`` is as before: the old file, or none. Raises OSError, and what the block raises.
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


def aside(path: Path) -> Path:
    """Return a random temporary path beside ``path``, in the same file system; create nothing."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove temporary files and folders (``aside``) of ``path`` whose process no longer exists.

    The process id is in their names and looked up in /proc; those of running processes stay.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
