"""Atomic writing of folders: a kill or a full disk never leaves a half-written one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from models.files.writing import aside, remove_leftovers


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write ``files`` (path in the folder -> content) to a temporary folder and rename it ``out``.

    A folder at ``out`` is replaced as a whole, missing parents are created, leftovers of killed
    calls removed. If the process is killed, ``out`` is the old folder, the new one, or (between two
    renames) absent. Raises OSError, also if there are no ``files``, with the old folder left in
    place.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(out)
    new = aside(out)
    try:
        for path, data in files.items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if out.exists():
            old = aside(out)
            out.rename(old)
            try:
                new.rename(out)
            except BaseException:
                old.rename(out)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
