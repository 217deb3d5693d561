"""Readers of data sets stored as arrays: scikit-learn's digits, IDX files (MNIST), any .npz."""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]

SYSTEM_DIRS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
"""Folders in which Debian packages install data sets: ``apt install dataset-fashion-mnist``."""
_TORCHVISION_DIRS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}
_IDX_UINT8 = 0x08
_CHANNEL_COUNTS = (1, 3, 4)
MAX_CLASSES = 1000
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError, OverflowError)
"""Exceptions of a damaged zip, and of encrypted members or unknown compression methods."""


@dataclass(frozen=True, eq=False)
class Raw:
    """Content of a data set's files before the split.

    Made by the readers, such as ``npz``. images: uint8 (n, C, H, W); labels: int64 (n,). The test
    arrays are None where the files have no test part.
    """

    images: Images
    labels: Labels
    classes: int
    test_images: Images | None = None
    test_labels: Labels | None = None


def checked_labels(labels: NDArray[Any], count: int, classes: int, file: object) -> Labels:
    """Return labels as int64 of shape (count,), each in 0..classes-1.

    An array of shape (count, 1) is accepted. file: name used in messages. Raises DatasetError for
    any other shape, a type other than integer, or a label out of range.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise DatasetError(f"{file}: {count} labels expected, one per image, not {labels.shape}")
    _check_integers(labels, file)
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DatasetError(f"{file}: label {wrong[0]} is outside 0..{classes - 1}")
    return labels.astype(np.int64)


def _check_integers(labels: NDArray[Any], file: object) -> None:
    if labels.dtype.kind not in "iu":
        raise DatasetError(f"{file}: labels must be integers, not {labels.dtype}")


def digits() -> Raw:
    """Return scikit-learn's 1,797 digits of 8x8 pixels, their 17 grey levels scaled to 0..255."""
    from sklearn.datasets import load_digits  # a second to import: only on use

    bunch = load_digits()
    images = (bunch.images * 255 / 16).round().astype(np.uint8)
    return Raw(images[:, None], bunch.target.astype(np.int64), 10)


# IDX -----------------------------------------------------------------------------------------


def mnist(name: str, directory: Path | None) -> Raw:
    """Read MNIST or Fashion-MNIST from its four IDX files, plain or gzip.

    name: ``mnist`` or ``fashion-mnist``. If ``directory`` is given, the files are looked for in it
    and its subfolders ``name`` and torchvision's, not in SYSTEM_DIRS: otherwise a wrong path would
    silently load other files. Raises DatasetError.
    """
    if directory is not None:
        places = [directory, directory / name, directory / _TORCHVISION_DIRS[name]]
    else:
        places = [SYSTEM_DIRS[name]] if name in SYSTEM_DIRS else []
    parts: list[tuple[Images, Labels]] = []
    for prefix in ("train", "t10k"):
        images_file = _find_idx(name, places, f"{prefix}-images", 3)
        labels_file = _find_idx(name, places, f"{prefix}-labels", 1)
        images = read_idx(images_file, 3)
        labels = checked_labels(read_idx(labels_file, 1), len(images), 10, labels_file)
        parts.append((images[:, None], labels))
    (images, labels), (test_images, test_labels) = parts
    if images.shape[1:] != test_images.shape[1:]:
        raise DatasetError(
            f"{name}: training images are {images.shape[1:]}, test images {test_images.shape[1:]}"
        )
    return Raw(images, labels, 10, test_images, test_labels)


def _find_idx(name: str, places: list[Path], stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte{suffix}" for dot in "-." for suffix in ("", ".gz")]
    for place in places:
        for file in names:
            if (place / file).is_file():
                return place / file
    looked = ", ".join(map(str, places)) or "no folder (give a data folder)"
    raise DatasetError(f"{name}: no file {names[0]} or {names[1]}; looked in {looked}")


def read_idx(path: Path, dimensions: int) -> Images:
    """Read an IDX array of unsigned bytes with ``dimensions`` axes, plain or gzip.

    Raises DatasetError for a file that is unreadable, damaged or of another type or rank.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path}: truncated or damaged gzip file ({error})") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, _IDX_UINT8, dimensions)):
        raise DatasetError(f"{path}: is not an IDX file of bytes with {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    need, have = math.prod(shape), len(data) - header
    if need != have:
        what = "truncated" if have < need else "too long"
        raise DatasetError(f"{path}: {what}: {need} bytes of data expected, {have} found")
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


# npz -----------------------------------------------------------------------------------------


def npz(path: Path) -> Raw:
    """Read arrays x and y, or x_train, y_train, and x_test, y_test if there is a test part.

    x: (n, H, W), (n, C, H, W) or (n, H, W, C), integers 0..255 or reals 0..1; C is 1, 3 or 4, and
    axis 1 counts as C if it can. y: integer labels (n,); training images must use every class from
    0 up, 2 to MAX_CLASSES of them. Raises DatasetError.
    """
    arrays = _npz_arrays(path)
    names = ("x", "y") if "x" in arrays else ("x_train", "y_train")
    wanted = [*names, *(("x_test", "y_test") if "x_test" in arrays else ())]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        found = ", ".join(arrays) or "nothing"
        raise DatasetError(
            f"{path}: array {missing[0]} is missing (found: {found}); expected x and y, or "
            "x_train, y_train, x_test and y_test"
        )
    images = _to_images(arrays[names[0]], f"{path}: {names[0]}")
    _check_integers(arrays[names[1]], f"{path}: {names[1]}")
    classes = int(arrays[names[1]].max(initial=0)) + 1
    if not 2 <= classes <= MAX_CLASSES:
        raise DatasetError(f"{path}: {names[1]} must hold 2..{MAX_CLASSES} classes from 0 up")
    labels = checked_labels(arrays[names[1]], len(images), classes, f"{path}: {names[1]}")
    if len(np.unique(labels)) < classes:
        absent = sorted(set(range(classes)) - set(labels.tolist()))
        raise DatasetError(f"{path}: {names[1]}: no image has label {absent[0]}")
    if "x_test" not in arrays:
        return Raw(images, labels, classes)
    test_images = _to_images(arrays["x_test"], f"{path}: x_test")
    if test_images.shape[1:] != images.shape[1:]:
        raise DatasetError(f"{path}: x_test {test_images.shape} does not match {images.shape}")
    file = f"{path}: y_test"
    test_labels = checked_labels(arrays["y_test"], len(test_images), classes, file)
    return Raw(images, labels, classes, test_images, test_labels)


def _npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; expected an .npz with arrays x and y") from None
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: is not an .npz file of plain arrays ({error})") from None
    except _BROKEN_ZIP as error:
        raise DatasetError(f"{path}: truncated or damaged .npz file ({error})") from None


def _to_images(x: NDArray[Any], file: str) -> Images:
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim != 4 or not x.size:
        raise DatasetError(f"{file} must be [n, H, W], [n, C, H, W] or [n, H, W, C], not {x.shape}")
    if x.shape[1] not in _CHANNEL_COUNTS:
        if x.shape[3] not in _CHANNEL_COUNTS:
            raise DatasetError(f"{file} must have 1, 3 or 4 channels; its shape is {x.shape}")
        x = x.transpose(0, 3, 1, 2)
    if x.dtype.kind not in "iuf":
        raise DatasetError(f"{file} must be integers 0..255 or reals 0..1, not {x.dtype}")
    low, high = x.min(), x.max()
    if np.issubdtype(x.dtype, np.floating) and low >= 0 and high <= 1:
        x = (x * 255).round()
    elif not np.issubdtype(x.dtype, np.integer) or low < 0 or high > 255:
        raise DatasetError(f"{file} must be integers 0..255 or reals 0..1, not {low}..{high}")
    return np.ascontiguousarray(x.astype(np.uint8))
