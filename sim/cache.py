"""The user's caches: private folders of entries, verified when they are read, swept by size.

An entry is a file whose last bytes are a SHA-256 over its kind, key and content, so a torn, altered
or renamed one counts as missing. Some kinds hold entries that other libraries write: whole folders
and files whose names begin with a key, too. Everything in a cache can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from sim.files import private, reading, temporary

VARIABLE = "CODESIGN_CACHE"
"""Environment variable with the folder of all caches."""
SIZE_VARIABLE = "CODESIGN_CACHE_SIZE"
"""Environment variable with the most bytes that all caches together may take, such as 20G."""
MOST_BYTES = 8 << 30
"""The same where the variable is not set."""
SHARES = {
    "datasets": 24, "simulators": 18, "torch": 14,
    "synth": 2, "place": 2, "area-model": 2, "compiled": 2,
}  # fmt: skip
"""Share of each kind of entries in all bytes; each kind has a folder of its name."""
_ENTRY = re.compile(r"(?:runtime-)?[0-9a-f]{16,64}(?:[-.][\w.-]*)?", re.ASCII)
"""Names of entries: nothing else in a folder is touched, as it may not be a cache."""
_SCRATCH = re.compile(r"codesign-[a-z]+-[0-9a-f]{16}\.tmp")
"""Names of temporary folders (``temporary``), each locked by the process that made it."""
_HIDDEN = re.compile(r"\.[0-9a-f]{8,64}[.-][\w.-]*|\.new-\w{8}", re.ASCII)
"""Names of entries that are being written, and of temporary folders of release 0.2."""
_STALE_S = 3600.0
"""Seconds after which such files count as left behind."""
_DIGEST = hashlib.sha256().digest_size
_SWEEP_PARTS = 16
"""A process sweeps a kind by its first write, and when it has written this part of the limit."""
_MOST_HELD = 64
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_held: OrderedDict[Path, int] = OrderedDict()
_written: dict[Path, float] = {}


class CacheError(reading.FileError):
    """The cache folder is not this user's alone, or its limit is no size; the message says more."""


def base() -> Path:
    """Return the path of the folder of all caches, which need not exist.

    It is ``$CODESIGN_CACHE``, if unset or empty ``$XDG_CACHE_HOME/codesign``, if that is unset or
    empty too ``~/.cache/codesign``. Raises RuntimeError when the user has no home folder and it is
    needed.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "codesign")


def cache_folder(kind: str) -> Path:
    """Return the folder of ``kind``, a key of SHARES, created for this user alone if missing.

    Raises CacheError if it, or the folder of all caches, is another user's, a link, or can be
    written or replaced by others, and as ``limit``; OSError when it cannot be created, RuntimeError
    as ``base``.
    """
    limit(kind)  # a bad one is told before any work
    try:
        folder = _own_base(str(base()), os.geteuid()) / kind
        private.own_folder(folder)
    except reading.FileError as error:
        message = f"cache folder {error}; or set {VARIABLE} to a folder of your own"
        raise CacheError(message) from None
    return folder


@functools.cache
def _own_base(path: str, user: int) -> Path:
    folder = Path(path).resolve()
    private.check_above(folder)
    private.own_folder(folder)
    return folder


def limit(kind: str) -> int:
    """Return the most bytes that the entries of ``kind`` may take.

    Raises CacheError if CODESIGN_CACHE_SIZE is no number of bytes.
    """
    text = os.environ.get(SIZE_VARIABLE, "")
    with reading.told_as(CacheError):
        most = reading.parse_size(text, SIZE_VARIABLE) if text.strip() else MOST_BYTES
    return most * SHARES[kind] // sum(SHARES.values())


def key_of(content: object) -> str:
    """Return the SHA-256 (hexadecimal) of a JSON value: the key of what depends on it alone.

    The order of a mapping's keys does not matter.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


# Entries -------------------------------------------------------------------------------------


def read(kind: str, key: str) -> bytes | None:
    """Return the content kept under ``kind`` and ``key``, or None if there is none that is whole.

    Raises CacheError, RuntimeError, and OSError as ``cache_folder``.
    """
    path = cache_folder(kind) / key
    try:
        with private.opened_own(path) as file:
            data = file.read()
            content, found = data[:-_DIGEST], data[-_DIGEST:]
            if found != _digest(kind, key, content):
                return None
            os.utime(file.fileno())
            return content
    except OSError:
        return None


def held(kind: str, key: str) -> Path | None:
    """Return the path of an entry, verified and on ``hold``, or None. Raises as ``read``."""
    path = cache_folder(kind) / key
    try:
        hold(path)
    except OSError:
        return None
    return None if read(kind, key) is None else path


def hold(path: Path) -> None:
    """Keep an entry from being swept while this process runs; the last _MOST_HELD are kept so.

    Raises OSError if there is none.
    """
    lock = os.open(path, _OPEN)
    with contextlib.suppress(OSError):  # file systems without locks
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    before = _held.pop(path, None)
    _held[path] = lock
    if len(_held) > _MOST_HELD:
        _, before = _held.popitem(last=False)
    if before is not None:
        os.close(before)


def _digest(kind: str, key: str, content: bytes) -> bytes:
    return hashlib.sha256(f"{kind}/{key}\0".encode() + content).digest()


def write(kind: str, key: str, content: bytes, mode: int = 0o600) -> None:
    """Keep ``content`` under ``kind`` and ``key``, whole or not at all, for ``read`` and ``held``.

    key: 16 to 64 hexadecimal digits, then perhaps ``-`` and more (_ENTRY). mode: of the file, which
    is longer than the content by a hash. Raises CacheError, RuntimeError, OSError.
    """
    folder = cache_folder(kind)
    make_room(kind, len(content) + _DIGEST)
    with temporary.folder("cache", folder.parent) as work:
        new = work / "new"
        with new.open("wb") as file:
            file.write(content)
            file.write(_digest(kind, key, content))
        new.chmod(mode)
        new.replace(folder / key)


def keys(kind: str, start: str) -> list[str]:
    """Return the keys under ``kind`` that begin with ``start``. Raises as ``read``."""
    folder = cache_folder(kind)
    return sorted(file.name for file in folder.iterdir() if file.name.startswith(start))


# Sweeping ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A file or folder of a cache. Made by ``entries``."""

    path: Path
    size: int
    """Bytes; of a folder those of all files in it."""
    used: float
    """Time of the last use, as time.time."""
    left: bool
    """True for what a killed process, or one that is still at work, has not finished."""


def entries(folder: Path) -> list[Entry]:
    """Return the entries in the folder of a kind, the least recently used first.

    Files and folders that are none of a cache's are left out. Raises OSError.
    """
    found = []
    for item in os.scandir(folder):
        hidden, left = _HIDDEN.fullmatch(item.name), bool(_SCRATCH.fullmatch(item.name))
        if (hidden or left or _ENTRY.fullmatch(item.name)) and not item.is_symlink():
            with contextlib.suppress(FileNotFoundError):
                status = item.stat()
                left |= bool(hidden) and status.st_mtime < time.time() - _STALE_S
                size = _tree_size(item.path) if item.is_dir() else status.st_size
                found.append(Entry(Path(item.path), size, status.st_mtime, left))
    return sorted(found, key=lambda entry: entry.used)


def _tree_size(folder: str) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size  # noqa: PTH118
    return total


def make_room(kind: str, size: int) -> None:
    """Sweep the folder of ``kind`` where ``size`` bytes more might exceed its limit.

    Raises as ``cache_folder``.
    """
    folder, slack = cache_folder(kind), limit(kind) // _SWEEP_PARTS
    _written[folder] = _written.get(folder, math.inf) + size
    if _written[folder] > slack:
        sweep(folder, limit(kind) - slack - size)
        _written[folder] = 0


def sweep(folder: Path, most: float) -> int:
    """Remove the least recently used entries of a folder until they take at most ``most`` bytes.

    Returns the bytes removed. Entries in use stay (``hold``); what killed processes have left
    behind goes in any case. Raises OSError.
    """
    found, freed = entries(folder), 0
    total = sum(entry.size for entry in found)
    for entry in found:
        if (entry.left or total - freed > most) and _removed(entry.path):
            freed += entry.size
    return freed


def _removed(path: Path) -> bool:
    """Remove a file or folder that no process holds; return False if one does, or on an error."""
    try:
        lock = os.open(path, _OPEN)
    except OSError:
        return False
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    finally:
        os.close(lock)
    return not path.exists()
