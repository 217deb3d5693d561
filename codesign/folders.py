"""Writing a folder so that a kill or a full disk never leaves half of one."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write a folder of files (path in it -> content) aside and rename it to ``out``.

    A folder that stood there goes. Killed at any moment, ``out`` is the old folder, the new one, or
    (for the instant between two renames) absent. Raises OSError, with the old folder in place.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(out)
    new = _aside(out)
    try:
        for path, data in files.items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if out.exists():
            old = _aside(out)
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


def _aside(path: Path) -> Path:
    """A fresh name beside ``path`` (same file system), to be written and then renamed to it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left beside ``path``."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            shutil.rmtree(left, ignore_errors=True)
