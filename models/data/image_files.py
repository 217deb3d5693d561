"""Readers of CIFAR-10 batches, image folders and zips of image folders."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from models.data.array_files import Images, Raw, checked_labels
from models.errors import DatasetError
from models.files import atomic_file

Progress = Callable[[int, int], None]
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".gif"}
_PROGRESS_EVERY = 500
_BROKEN_PICKLE = (
    OSError,
    EOFError,
    pickle.UnpicklingError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ImportError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
)
"""Exceptions that unpickling damaged bytes can raise."""
_BROKEN_IMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
"""Exceptions that reading a damaged image can raise, also from a damaged or encrypted zip."""


def cache_dir() -> Path:
    """Return the cache folder of decoded images.

    It is ``$XDG_CACHE_HOME/codesign/datasets``, by default ``~/.cache/codesign/datasets``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "codesign" / "datasets"


# CIFAR-10 ------------------------------------------------------------------------------------


def cifar10(directory: Path | None, progress: Progress | None = None) -> Raw:
    """Read CIFAR-10 from its Python batches, an image folder or a zip of one.

    directory: a folder with the batches (or cifar-10-batches-py/), with train/ and test/, or with a
    zip named cifar*10*.zip; or the zip itself. progress: see ``datasets.Progress``; an image folder
    or zip calls it. Raises as ``image_tree``.
    """
    expected = (
        "expected the python batches (data_batch_1..5, test_batch), an image folder "
        "(train/<class>/*, test/<class>/*) or a zip of one"
    )
    if directory is None:
        raise DatasetError(f"cifar10 needs a data folder; {expected}")
    for place in (directory, directory / "cifar-10-batches-py"):
        if (place / "data_batch_1").is_file():
            return _batches(place)
    zips = sorted(directory.glob("cifar*10*.zip")) if directory.is_dir() else [directory]
    tree = directory if (directory / "train").is_dir() else next(iter(zips), None)
    if tree is None or not tree.exists():
        raise DatasetError(f"cifar10: nothing usable in {directory}; {expected}")
    raw = image_tree(tree, progress)
    if raw.classes != 10 or raw.images.shape[1:] != (3, 32, 32):
        raise DatasetError(
            f"{tree}: CIFAR-10 has 10 classes of (3, 32, 32) images, not {raw.classes} of "
            f"{raw.images.shape[1:]}"
        )
    return raw


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler of the batches' dictionaries and arrays; refuses everything that could run code."""

    _ALLOWED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a batch")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _batches(directory: Path) -> Raw:
    parts = [_batch(directory / f"data_batch_{number}") for number in range(1, 6)]
    test_images, test_labels = _batch(directory / "test_batch")
    images = np.concatenate([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    return Raw(images, labels, 10, test_images, test_labels)


def _batch(path: Path) -> tuple[Images, Any]:
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="bytes").load()
        pixels, labels = np.asarray(content[b"data"]), np.asarray(content[b"labels"])
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; all six batches are needed") from None
    except _BROKEN_PICKLE as error:
        raise DatasetError(f"{path}: truncated, or not a CIFAR-10 batch ({error})") from None
    if pixels.ndim != 2 or pixels.shape[1] != 3072 or pixels.dtype != np.uint8:
        raise DatasetError(f"{path}: data must be uint8 [n, 3072], not {pixels.shape}")
    return pixels.reshape(-1, 3, 32, 32), checked_labels(labels, len(pixels), 10, path)


# Image folders and zips ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Entry:
    """One image file; ``part`` is train, test, or empty if no such folder encloses it."""

    part: str
    label: str
    name: str


def image_tree(path: Path, progress: Progress | None = None) -> Raw:
    """Read ``train/<class>/*`` and ``test/<class>/*``, or ``<class>/*`` alone, in a folder or zip.

    Classes are numbered in the order of their sorted names. All images must have the same size and
    mode. Decoded arrays are cached; the key covers every file's name, size and modification time (a
    zip's own). progress: called with (images decoded, images in all), every 500 images. Raises
    DatasetError, or OSError for a file system error such as a zip without read permission.
    """
    try:
        if path.is_dir():
            names, stamp = _list_folder(path)
            return _cached(stamp, lambda: _decode(path, names, _folder_reader(path), progress))
        with zipfile.ZipFile(path) as archive:
            status = path.stat()
            stamp = f"{path.resolve()} {status.st_size} {status.st_mtime_ns}"
            names = archive.namelist()
            return _cached(stamp, lambda: _decode(path, names, archive.read, progress))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such image folder or zip") from None
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DatasetError(f"{path}: truncated or not a zip file ({error})") from None


def _list_folder(path: Path) -> tuple[list[str], str]:
    """Return relative file names in order, and a text that changes when any file does."""
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
    names = [file.relative_to(path).as_posix() for file in files]
    digest = hashlib.sha256(str(path.resolve()).encode())
    for name, file in zip(names, files, strict=True):
        status = file.stat()
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return names, digest.hexdigest()


def _folder_reader(path: Path) -> Callable[[str], bytes]:
    return lambda name: (path / name).read_bytes()


def _entries(path: Path, names: list[str]) -> list[_Entry]:
    """Return the images among ``names``, sorted by class and name; outer folders are ignored."""
    paths = [PurePosixPath(name) for name in names]
    files = [file for file in paths if file.suffix.lower() in _SUFFIXES]
    if not files:
        raise DatasetError(f"{path}: holds no images; expected train/<class>/*, test/<class>/*")
    entries = []
    for file in files:
        parts = file.parts[-3:-1]
        if not parts:
            raise DatasetError(f"{path}: {file} lies in no class folder")
        part = parts[0] if len(parts) == 2 and parts[0] in ("train", "test") else ""
        entries.append(_Entry(part, parts[-1], str(file)))
    return sorted(entries, key=lambda entry: (entry.label, entry.name))


def _decode(
    path: Path, names: list[str], read: Callable[[str], bytes], progress: Progress | None
) -> Raw:
    entries = _entries(path, names)
    labels = sorted({entry.label for entry in entries})
    if len(labels) < 2:
        raise DatasetError(f"{path}: a data set needs at least two class folders, not {labels}")
    stack: Images | None = None
    for index, entry in enumerate(entries):
        image = _image(path, entry.name, read)
        if stack is None:
            stack = np.empty((len(entries), *image.shape), np.uint8)
        if image.shape != stack.shape[1:]:
            raise DatasetError(
                f"{path}: {entry.name} is {image.shape}, the others are {stack.shape[1:]}"
            )
        stack[index] = image
        if progress and index % _PROGRESS_EVERY == 0:
            progress(index, len(entries))
    assert stack is not None  # _entries is never empty
    numbers = np.array([labels.index(entry.label) for entry in entries], np.int64)
    test = np.array([entry.part == "test" for entry in entries])
    if not test.any():
        return Raw(stack, numbers, len(labels))
    if test.all():
        raise DatasetError(f"{path}: has test images but no train/<class> folders")
    return Raw(stack[~test], numbers[~test], len(labels), stack[test], numbers[test])


def _image(path: Path, name: str, read: Callable[[str], bytes]) -> Images:
    """Decode one image to uint8 (C, H, W): one channel if 8-bit grey, else converted to RGB."""
    try:
        with Image.open(io.BytesIO(read(name))) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"), np.uint8)
    except _BROKEN_IMAGE as error:
        raise DatasetError(f"{path}: {name} is a corrupt image ({error})") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


# Cache ---------------------------------------------------------------------------------------


def _cached(stamp: str, make: Callable[[], Raw]) -> Raw:
    """Return ``make()``, or its cached result for the same stamp; a damaged cache is made anew."""
    file = cache_dir() / f"{hashlib.sha256(stamp.encode()).hexdigest()[:32]}.npz"
    broken = (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile)
    with suppress(*broken), np.load(file, allow_pickle=False) as stored:
        test = (stored["test_images"], stored["test_labels"]) if stored["has_test"] else ()
        return Raw(stored["images"], stored["labels"], int(stored["classes"]), *test)
    raw = make()
    empty = np.zeros(0, np.uint8)
    with suppress(OSError), atomic_file(file) as target:  # a full disk is no error here
        np.savez(
            target,
            images=raw.images,
            labels=raw.labels,
            classes=raw.classes,
            has_test=raw.test_images is not None,
            test_images=empty if raw.test_images is None else raw.test_images,
            test_labels=empty if raw.test_labels is None else raw.test_labels,
        )
    return raw
