"""Data sets that come as pictures: image folders and zips of them, decoded once and cached."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from models.data.folders import Entry, entries, is_hidden
from models.data.pictures import SUFFIXES, decode, grey_if_grey
from models.data.raw import ClassNames, Part, Raw
from models.data.values import PIXELS
from models.errors import DatasetError
from models.files.arrays import read_npz
from models.files.pictures import MAX_BYTES
from models.files.reading import check_memory, parse_json, read_bytes, told_as
from models.files.writing import atomic_file
from models.files.zips import opened_zip

Progress = Callable[[int, int], None]
"""Callback with (images decoded before this one, images in all), at the first and each 500th image.
"""
Size = tuple[int, int]
"""(rows, columns) of a picture."""
_PROGRESS_EVERY = 500
LOADER_VERSION = 5
"""Part of the cache's key; raised where the same files begin to give other arrays."""


def image_tree(
    path: Path,
    progress: Progress | None = None,
    *,
    resize: Size | None = None,
    cache: Path | None = None,
) -> Raw:
    """Return the pictures of a folder or zip (models.data.folders says how it is laid out).

    progress: called while pictures are decoded, not if they are cached. resize: brings all pictures
    to (rows, columns); None: they must have one size. cache: the folder in which decoded arrays are
    kept, keyed by the path and every picture's name, size and times (of a zip, its own); None keeps
    none. Raises DatasetError.
    """
    if not path.exists():
        raise DatasetError(f"{path}: no such image folder or zip")
    with told_as(DatasetError):
        if path.is_dir():
            names, stamp = _list_folder(path)
            read = functools.partial(_read_file, path)
            return _cached(cache, stamp, resize, lambda: _load(path, names, read, progress, resize))
        return _zipped(path, progress, resize, cache)


def _read_file(folder: Path, name: str) -> bytes:
    return read_bytes(folder / name, MAX_BYTES)


def _zipped(path: Path, progress: Progress | None, resize: Size | None, cache: Path | None) -> Raw:
    with opened_zip(path) as archive:
        status = path.stat()
        stamp = f"{path.resolve()} {_stamp(status)}"

        members = _with_slashes(archive.names)

        def read(name: str) -> bytes:
            return archive.read(members[name], MAX_BYTES)

        return _cached(
            cache, stamp, resize, lambda: _load(path, list(members), read, progress, resize)
        )


def _with_slashes(names: Sequence[str]) -> dict[str, str]:
    """Return the names of a zip's members by their paths with slashes.

    Some programs of Windows write backslashes between folders, and then no slash at all.
    """
    if any("/" in name for name in names):
        return {name: name for name in names}
    return {name.replace("\\", "/"): name for name in names}


def _stamp(status: os.stat_result) -> str:
    """Return what changes with a file's content; the last time is the one that nobody can set."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def _list_folder(path: Path) -> tuple[list[str], str]:
    """Return the sorted names of all below ``path``, and a text to tell if a picture changes.

    Names are relative, with slashes; those of folders end in one. The text is a hash of the path,
    each folder's name and each picture's name, size, modification and change time. Raises
    DatasetError for a link to a folder that is not hidden: its pictures would be left out.
    """
    names = []
    digest = hashlib.sha256(os.fsencode(path.resolve()))
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_dir():
            if file.is_symlink() and not is_hidden(name):
                raise DatasetError(
                    f"{path}: {name} is a link to a folder, and such are not followed: put the "
                    "folder itself there"
                )
            name += "/"
            digest.update(os.fsencode(f"{name}\n"))
        elif file.suffix.casefold() in SUFFIXES:
            status = file.stat() if file.exists() else file.lstat()
            digest.update(os.fsencode(f"{name} {_stamp(status)}\n"))
        names.append(name)
    return names, digest.hexdigest()


def _load(
    path: Path,
    names: Sequence[str],
    read: Callable[[str], bytes],
    progress: Progress | None,
    resize: Size | None,
) -> Raw:
    found, notes = entries(str(path), names)
    trained = [entry.label for entry in found if entry.part == "train"]
    if len(set(trained)) < 2:
        raise DatasetError(
            f"{path}: a data set needs at least two class folders, not {sorted(set(trained))}"
        )
    classes = ClassNames.of(trained, str(path))
    pixels, more = _decoded(path, found, read, progress, resize)
    parts = {}
    for part in dict.fromkeys(entry.part for entry in found):
        mine = np.array([entry.part == part for entry in found])
        labels = [entry.label for entry in found if entry.part == part]
        parts[part] = Part(pixels[mine], classes.numbers(labels, f"{path}: {part}"))
    return Raw(parts, classes.names, PIXELS, (*notes, *more))


def _decoded(
    path: Path,
    found: Sequence[Entry],
    read: Callable[[str], bytes],
    progress: Progress | None,
    resize: Size | None,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return all pictures as one uint8 array (n, 1 or 3, rows, columns), with notes.

    They are in the order of ``found``; one channel if every picture is grey. Notes, sorted, say
    what was converted. read: returns a file's bytes by its name. path: what messages name. Raises
    DatasetError for a picture that is damaged or of another size than the first, FileError for
    more than ``max_memory``.
    """
    stack: NDArray[np.uint8] | None = None
    notes: set[str] = set()
    for index, entry in enumerate(found):
        image, said = decode(functools.partial(read, entry.name), f"{path}: {entry.name}", resize)
        notes |= said
        if stack is None:
            check_memory(path, len(found) * 3 * image[0].size)
            stack = np.empty((len(found), 3, *image.shape[1:]), np.uint8)
        if image.shape[1:] != stack.shape[2:]:
            sizes = ["x".join(map(str, shape)) for shape in (image.shape[1:], stack.shape[2:])]
            raise DatasetError(
                f"{path}: {entry.name} has {sizes[0]} pixels (rows x columns), those before it "
                f"{sizes[1]}; --resize ROWSxCOLUMNS brings all to one size"
            )
        stack[index] = image
        if progress and index % _PROGRESS_EVERY == 0:
            progress(index, len(found))
    assert stack is not None  # there is at least one picture
    grey = grey_if_grey(stack)
    if resize:
        notes.add(f"pictures are brought to {resize[0]}x{resize[1]} pixels (rows x columns)")
    return grey, sorted(notes)


# Cache ---------------------------------------------------------------------------------------


def _cached(cache: Path | None, stamp: str, resize: Size | None, make: Callable[[], Raw]) -> Raw:
    """Return ``make()``, or what it returned before for the same ``stamp`` and ``resize``.

    cache: folder of the files; None always makes. A cache file that is broken (zip archives hold
    checksums) or of other pictures is made again; one that cannot be written is left out without an
    error.
    """
    if cache is None:
        return make()
    key = f"{LOADER_VERSION} {PIL.__version__} {resize} {stamp}"
    file = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"
    with suppress(OSError, ValueError, LookupError, TypeError):
        stored = read_npz(file)
        header = parse_json(str(stored["header"]))
        if header["key"] != key:
            raise ValueError(f"{file} is another data set")
        os.utime(file)  # the last use, by which caches are swept
        parts = {
            part: Part(stored[f"values_{part}"], stored[f"labels_{part}"])
            for part in header["parts"]
        }
        return Raw(parts, tuple(header["classes"]), PIXELS, tuple(header["notes"]))
    raw = make()
    header = {
        "key": key, "parts": list(raw.parts), "classes": raw.class_names, "notes": raw.notes,
    }  # fmt: skip
    arrays = {f"values_{name}": part.values for name, part in raw.parts.items()}
    arrays |= {f"labels_{name}": part.labels for name, part in raw.parts.items()}
    with suppress(OSError), atomic_file(file) as target:  # a full disk only costs time
        np.savez(target, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
    return raw
