"""Data sets that come as arrays: scikit-learn's digits, IDX files (MNIST), any .npz."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.data.layout import Layout, to_channels_first
from models.data.raw import TEST, TRAIN, VALIDATION, ClassNames, Labels, Part, Raw
from models.data.values import PIXELS, check_finite
from models.errors import DatasetError
from models.files import arrays
from models.files.reading import FileError, MissingFile, check_memory, opened, printable, told_as

SYSTEM_DIRS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
"""Folder of a data set where Debian's package puts it, by the data set's name (``apt install
dataset-fashion-mnist``)."""
_TORCHVISION_DIRS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}
_IDX_UINT8 = 0x08
SUFFIXES = {
    TRAIN: ("", "_train"),
    VALIDATION: ("_val", "_valid", "_validation"),
    TEST: ("_test",),
}
"""Suffixes of the array names (x, y) of each part; the first suffix whose x the file has counts,
others of that part are ignored."""
_OTHER_TASKS = "; codesign train and build take numbers and classes of pixels with --task"
_MOST_EXACT = 2.0**53
"""Reals from this on do not tell all integers apart."""
TEN = tuple(str(number) for number in range(10))


def digits() -> Raw:
    """Return scikit-learn's 1,797 digits of 8x8 pixels as a training part alone.

    Values are uint8 (1797, 1, 8, 8): 17 grey levels, scaled to 0..255 and rounded half to even.
    """
    from sklearn.datasets import load_digits  # a second to import: only when it is asked for

    bunch = load_digits()
    images = (bunch.images * 255 / 16).round().astype(np.uint8)
    part = Part(images[:, None], bunch.target.astype(np.int64))
    return Raw({TRAIN: part}, TEN, PIXELS)


# IDX -----------------------------------------------------------------------------------------


def mnist(name: str, directory: Path | None) -> Raw:
    """Return MNIST or Fashion-MNIST, training and test part, from four IDX files, plain or gzip.

    name: ``mnist`` or ``fashion-mnist``. directory: the files are looked for in it, in its
    subfolder ``name`` and in torchvision's (``MNIST/raw``, ``FashionMNIST/raw``), nowhere else;
    None: in SYSTEM_DIRS, which has no folder for mnist. Raises DatasetError for a missing or
    damaged file.
    """
    if directory is not None:
        places = [directory, directory / name, directory / _TORCHVISION_DIRS[name]]
    else:
        places = [SYSTEM_DIRS[name]] if name in SYSTEM_DIRS else []
    parts: dict[str, Part] = {}
    for part, prefix in ((TRAIN, "train"), (TEST, "t10k")):
        images_file = _find_idx(name, places, f"{prefix}-images", 3)
        labels_file = _find_idx(name, places, f"{prefix}-labels", 1)
        images = read_idx(images_file, 3)
        parts[part] = Part(
            images[:, None], numbered(read_idx(labels_file, 1), len(images), 10, labels_file)
        )
    if parts[TRAIN].values.shape[1:] != parts[TEST].values.shape[1:]:
        raise DatasetError(f"{name}: training images {images.shape[1:]}, test images differ")
    return Raw(parts, TEN, PIXELS)


def numbered(labels: NDArray[Any], count: int, classes: int, file: object) -> Labels:
    """Return ``labels`` as int64 of shape (count,), checked to be class numbers 0..classes-1.

    file: the file that messages name. Raises DatasetError for another shape or number.
    """
    if labels.shape != (count,):
        raise DatasetError(f"{file}: {count} labels expected, one per image, not {labels.shape}")
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DatasetError(f"{file}: label {wrong[0]} is outside 0..{classes - 1}")
    return labels.astype(np.int64)


def _find_idx(name: str, places: list[Path], stem: str, dimensions: int) -> Path:
    names = [f"{stem}{dot}idx{dimensions}-ubyte{suffix}" for dot in "-." for suffix in ("", ".gz")]
    for place in places:
        for file in names:
            if (place / file).is_file():
                return place / file
    looked = ", ".join(map(str, places)) or "no folder (give a data folder)"
    raise DatasetError(f"{name}: no file {names[0]} or {names[1]}; looked in {looked}")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the unsigned bytes of an IDX file as a uint8 array with so many ``dimensions``.

    A file whose name ends in .gz is decompressed. Raises DatasetError: unreadable, truncated, too
    long, larger than ``max_memory``, of another type or number of dimensions.
    """
    with told_as(DatasetError), opened(path) as raw:
        if path.suffix != ".gz":
            return _read_idx(raw, dimensions, path)
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                return _read_idx(file, dimensions, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DatasetError(f"{path}: truncated or damaged gzip file ({error})") from None


def _read_idx(file: IO[bytes] | gzip.GzipFile, dimensions: int, path: Path) -> NDArray[np.uint8]:
    """Read the array of an open IDX file, as many bytes as its header says.

    Raises DatasetError, and FileError for more than ``max_memory``.
    """
    header = file.read(4 + 4 * dimensions)
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes((0, 0, _IDX_UINT8, dimensions)):
        raise DatasetError(f"{path}: is not an IDX file of bytes with {dimensions} dimension(s)")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    need = math.prod(shape)
    check_memory(path, need)
    data = file.read(need + 1)
    if need != len(data):
        found = f"truncated: {need} bytes of data expected, {len(data)} found"
        more = f"too long: more than the {need} bytes of data expected"
        raise DatasetError(f"{path}: {found if len(data) < need else more}")
    return np.frombuffer(data, np.uint8).reshape(shape)


# npz -----------------------------------------------------------------------------------------


def npz(path: Path, layout: Layout = Layout.AUTO) -> Raw:
    """Return the parts of an .npz file, whose arrays x and y are the training part.

    They may be called x_train and y_train; x_val, y_val, x_test and y_test are optional (SUFFIXES
    has more names). x: numbers of shape (n, features), (n, rows, columns), (n, channels, length),
    (n, channels, rows, columns) or (n, rows, columns, channels); ``layout`` says which, AUTO
    guesses. y: a class number, a name or a one-hot row per example. Raises DatasetError.
    """
    found = npz_arrays(path)
    parts: dict[str, Part] = {}
    notes: list[str] = []
    names: ClassNames | None = None
    used: set[str] = set()
    for part, suffixes in SUFFIXES.items():
        suffix = next((s for s in suffixes if f"x{s}" in found), None)
        if suffix is None:
            continue
        x, y = f"x{suffix}", f"y{suffix}"
        if y not in found:
            raise DatasetError(f"{path}: array {y} is missing (found: {', '.join(found)})")
        values, said = to_channels_first(found[x], layout, f"{path}: {x}")
        check_finite(values, f"{path}: {x}")
        labels, more = _labels(found[y], len(values), f"{path}: {y}")
        names = names or ClassNames.of(labels, f"{path}: {y}")
        parts[part] = Part(values, names.numbers(labels, f"{path}: {y}"))
        notes += said + more if part == TRAIN else []
        if values.shape[1:] != parts.get(TRAIN, parts[part]).values.shape[1:]:
            raise DatasetError(f"{path}: {x} {found[x].shape} does not match the training examples")
        used |= {x, y}
    if TRAIN not in parts or names is None:
        raise DatasetError(
            f"{path}: array x is missing (found: {', '.join(found) or 'nothing'}); expected x and "
            "y, or x_train, y_train, x_test and y_test"
        )
    unused = ", ".join(name for name in found if name not in used)
    notes += [f"arrays that are not used: {printable(unused)}"] if unused else []
    return Raw(parts, names.names, notes=tuple(notes))


def _labels(y: NDArray[Any], count: int, where: str) -> tuple[list[object], list[str]]:
    """Return labels as a list of ``count`` ints, bools or names, with notes.

    y: (count,), (count, 1), or one-hot (count, classes). where: file and array that messages name.
    Notes say that rows are one-hot, and which numbers are the classes where those are not 0, 1, 2,
    ... Raises DatasetError for another shape, and for labels that are no integers, whole reals,
    booleans or text.
    """
    notes = []
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and _one_hot(y):
        y = y.argmax(axis=1)
        notes.append("labels are one-hot rows: class k is column k")
    if y.shape != (count,):
        raise DatasetError(
            f"{where}: {count} labels expected, one per example, not {y.shape}{_OTHER_TASKS}"
        )
    if y.dtype.kind == "f":
        if not ((y == np.floor(y)) & (np.abs(y) < _MOST_EXACT)).all():
            raise DatasetError(f"{where}: labels must be classes, not real numbers{_OTHER_TASKS}")
        y = y.astype(np.int64)
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise DatasetError(f"{where}: names of classes must be UTF-8 text") from None
    if y.dtype.kind not in "biuU":
        raise DatasetError(f"{where}: labels must be integers or names, not {y.dtype}")
    labels = y.tolist()
    numbers = sorted(set(labels)) if y.dtype.kind in "iu" else []
    if numbers and numbers != list(range(len(numbers))):
        notes.append(
            f"labels {numbers[0]}..{numbers[-1]} are {len(numbers)} classes, numbered from 0 in "
            "that order"
        )
    return labels, notes


def _one_hot(y: NDArray[Any]) -> bool:
    """True if each row of ``y`` (n, classes) has a single 1 among zeros, and if it has no rows."""
    return bool(
        y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all()
    )


def npz_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file by name. Raises DatasetError."""
    try:
        return arrays.read_npz(path)
    except MissingFile:
        raise DatasetError(f"{path}: no such file; expected an .npz with arrays x and y") from None
    except FileError as error:
        raise DatasetError(f"{error}; expected an .npz of plain arrays") from None
