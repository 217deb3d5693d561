"""Atomic writing of folders: a kill or a full disk never leaves a half-written one.

What someone else put into the folder stays in it.
"""

from __future__ import annotations

import ctypes
import filecmp
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.files.writing import aside, leftovers, remove_leftovers

KEPT = ".kept"
"""End of the name of a file that stood in the way of a new one."""


@dataclass(frozen=True)
class Earlier:
    """Files that an earlier ``write`` left in a folder, as its caller knows by their hashes.

    >>> Earlier(written=frozenset({"network.json"})).changed
    frozenset()
    """

    written: frozenset[str] = frozenset()
    """Those that are as they were written: they may go."""
    changed: frozenset[str] = frozenset()
    """Those that someone has changed since: they are kept, under new names."""


NOTHING = Earlier()
_OLD = ".old"
"""End of the name of the old folder while there is no other (``aside``)."""


def write(files: Mapping[str, bytes], out: Path, earlier: Earlier = NOTHING) -> dict[str, str]:
    """Write ``files`` (path in the folder -> content) to the folder ``out``, all of them or none.

    Missing parents are created. Of a folder at ``out`` what ``earlier.written`` names is removed,
    and everything else stays: under its name, or with KEPT behind it if the name is among ``files``
    or in ``earlier.changed``. Returns the latter: path before -> path now.

    The new folder is made beside ``out``, with what stays as further names of the same files (as
    copies where the file system has no such), and changes places with it. A kill leaves the old
    folder or the new one, and beside it another that the next call removes. Where the system cannot
    exchange folders, a kill between two renames leaves none, and the next call (``recover``) brings
    the old one back; right behind the second rename, the old one stays beside it. Raises OSError,
    also if there are no ``files``, with the old folder left in place.
    """
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    recover(out)
    new = aside(out)
    try:
        for path, data in files.items():
            target = new / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if not out.exists():
            new.rename(out)
            return {}
        renamed = _carry(out, new, earlier)
        shutil.copystat(out, new)
        _exchange(new, out)
        return renamed
    finally:
        shutil.rmtree(new, ignore_errors=True)


def recover(out: Path) -> None:
    """Remove what a killed ``write`` left beside ``out``; bring the old folder back if it is gone.

    Raises OSError.
    """
    out = out.absolute()
    for old in leftovers(out, _OLD):
        if not os.path.lexists(out):
            old.rename(out)
    remove_leftovers(out)


def kept_path(path: Path, *others: Path) -> Path:
    """Return ``path`` with KEPT behind its name, or KEPT-2, ...: free there and beside ``others``.

    >>> kept_path(Path("/nowhere/notes.txt")).name
    'notes.txt.kept'
    """
    number = 1
    while True:
        name = f"{path.name}{KEPT}{f'-{number}' if number > 1 else ''}"
        if not any(os.path.lexists(one.with_name(name)) for one in (path, *others)):
            return path.with_name(name)
        number += 1


def _exchange(new: Path, out: Path) -> None:
    """Let two folders change places, at once where Linux can. Raises OSError."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename and not rename(here, os.fsencode(new), here, os.fsencode(out), exchange):
        return
    old = aside(out, _OLD)
    out.rename(old)
    try:
        new.rename(out)
    except BaseException:
        old.rename(out)
        raise
    old.rename(new)


def _carry(out: Path, new: Path, earlier: Earlier) -> dict[str, str]:
    """Give ``new`` all of ``out`` that stays; return what has another name there, as ``write``."""
    renamed = {}
    for where, folders, names in os.walk(out):
        here = Path(where).relative_to(out)
        links = [name for name in folders if (out / here / name).is_symlink()]
        if not folders and not names:  # someone's empty folder
            (new / here).mkdir(parents=True, exist_ok=True)
        for name in [*names, *links]:
            path = (here / name).as_posix()
            if path in earlier.written:
                continue
            source, target = out / path, new / path
            if path in earlier.changed or os.path.lexists(target):
                if _same(source, target):
                    continue
                target = kept_path(target, source)
                renamed[path] = target.relative_to(new).as_posix()
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target, follow_symlinks=False)
            except OSError:
                shutil.copy2(source, target, follow_symlinks=False)
    return renamed


def _same(one: Path, other: Path) -> bool:
    """Return True if both are regular files of the same content."""
    plain = not one.is_symlink() and one.is_file() and other.is_file()
    return plain and filecmp.cmp(one, other, shallow=False)
