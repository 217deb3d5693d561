"""The user's caches as a whole, and folders in them that other libraries write compiled code to."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from models.files import private
from models.files.reading import parse_json
from sim import cache

TORCH_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Environment variable with the folder in which torch.compile keeps code; torch's own default is a
folder of the temporary directory that any user could have made first."""
DATASETS = "datasets"
"""Kind of decoded pictures."""
_SEAL = "-seal"


@dataclass(frozen=True)
class Usage:
    """Number and bytes of the cache entries of one kind. Made by ``usage``."""

    kind: str
    entries: int
    size: int
    """Bytes."""
    limit: int
    """Most bytes that it may take."""


def usage() -> list[Usage]:
    """Return what every kind of entries takes; folders that are missing are created.

    Raises CacheError, OSError and RuntimeError as cache.cache_folder.
    """
    found = []
    for kind in cache.SHARES:
        entries = cache.entries(cache.cache_folder(kind))
        size = sum(entry.size for entry in entries)
        found.append(Usage(kind, len(entries), size, cache.limit(kind)))
    return found


def clean() -> int:
    """Remove all entries that no process is using, and return their bytes. Raises as ``usage``.

    What killed processes have left behind goes, too.
    """
    folders = [cache.cache_folder(kind) for kind in cache.SHARES]
    left = cache.sweep(folders[0].parent, math.inf)
    return left + sum(cache.sweep(folder, -1) for folder in folders)


@contextlib.contextmanager
def folder(kind: str) -> Iterator[Path | None]:
    """Give the folder of ``kind`` to the ``with`` block, which fills it, and sweep it after.

    None if no folder can be made. Raises CacheError if the cache is not this user's alone.
    """
    try:
        found = cache.cache_folder(kind)
    except (OSError, RuntimeError):
        yield None
        return
    yield found
    with contextlib.suppress(OSError):
        cache.sweep(found, cache.limit(kind))


# Folders of other libraries ------------------------------------------------------------------


def tree(kind: str, key: str) -> Path:
    """Return a folder for compiled code, this user's alone; it is not swept while this runs.

    Raises as ``usage``.
    """
    cache.make_room(kind, 0)
    folder = cache.cache_folder(kind) / key
    private.own_folder(folder)
    cache.hold(folder)
    os.utime(folder)
    return folder


def keep_torch_code() -> None:
    """Let torch.compile keep its code in the user's cache, unless the user named a folder.

    It concerns this process and those that it starts. Where no cache folder can be made, it is a
    new temporary folder, removed at the end. Raises CacheError as ``usage``.
    """
    if TORCH_VARIABLE in os.environ:
        return
    try:
        kept = tree("torch", cache.key_of(metadata.version("torch")))
    except (OSError, RuntimeError):
        kept = Path(tempfile.mkdtemp(prefix="codesign-torch-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
    os.environ[TORCH_VARIABLE] = str(kept)


def seal(kind: str, key: str) -> None:
    """Record the hashes of all files in a ``tree``, for ``verify``. A failure is ignored."""
    with contextlib.suppress(OSError):
        hashes = json.dumps(_hashes(cache.cache_folder(kind) / key)).encode()
        if cache.read(kind, key + _SEAL) != hashes:
            cache.write(kind, key + _SEAL, hashes)


def verify(kind: str, key: str) -> None:
    """Remove the files of a ``tree`` that were torn, altered or added since ``seal``.

    Raises OSError.
    """
    folder = cache.cache_folder(kind) / key
    found = cache.read(kind, key + _SEAL)
    sealed = parse_json(found.decode()) if found else {}
    for name, digest in _hashes(folder).items():
        if not digest or sealed.get(name) != digest:
            (folder / name).unlink(missing_ok=True)


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file in a folder by its path there; none for what is not this user's."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_dir():
            hashes[str(path.relative_to(folder))] = ""
            with contextlib.suppress(OSError), private.opened_own(path) as file:
                digest = hashlib.sha256(file.read()).hexdigest()
                hashes[str(path.relative_to(folder))] = digest
    return hashes
