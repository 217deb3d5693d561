"""Where caches live, and how small files are written: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The user's cache folder for ``kind`` (made if missing).

    ``$CODESIGN_CACHE``, else ``$XDG_CACHE_HOME/codesign``, else ``~/.cache/codesign``. Everything
    in it can be deleted at any time. Raises OSError when it cannot be made.
    """
    chosen = os.environ.get("CODESIGN_CACHE")
    if chosen:
        base = Path(chosen)
    else:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        base = Path(home) / "codesign"
    folder = base / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def aside(path: Path) -> Path:
    """A fresh name beside ``path`` (same file system), to be written and then renamed to it."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left ``aside`` of ``path``."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if process.isdigit() and not Path("/proc", process).exists():
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write ``data`` (text as UTF-8) to ``path`` so that a reader sees the old file or the new one.

    The folder must exist. Raises OSError; the old file then stands and nothing else is left.
    """
    temporary = aside(path)
    try:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
