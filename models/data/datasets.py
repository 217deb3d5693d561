"""Data sets: images uint8 [n, C, H, W], labels int64 [n], split by seed and by class.

The official test split is the test split where there is one; validation images are taken from
the training part. Choices of any kind look at validation only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data import array_files, image_files
from models.data.array_files import Images, Labels, Raw
from models.errors import DatasetError

Progress = Callable[[int, int], None]
"""Called with (images decoded, images in all) while files are read."""

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
"""Of a data set without an official test split."""
SMALL_SET = 5000
SMALL_VALIDATION_SHARE = 0.15
"""Of training sets below SMALL_SET images: a tenth would measure too coarsely."""


@dataclass(frozen=True, eq=False)
class Split:
    """images: uint8 [n, C, H, W]; labels: int64 [n]."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """``classes`` is their number; ``shape`` is (channels, rows, columns)."""

    name: str
    """What ``load`` was given."""
    shape: tuple[int, int, int]
    classes: int
    train: Split
    validation: Split
    test: Split
    sha256: str = ""
    """Of all images and labels, before the split; "" for a part of a data set."""


def _digits(directory: Path | None, progress: Progress | None) -> Raw:
    return array_files.digits()


def _mnist(directory: Path | None, progress: Progress | None) -> Raw:
    return array_files.mnist("mnist", directory)


def _fashion(directory: Path | None, progress: Progress | None) -> Raw:
    return array_files.mnist("fashion-mnist", directory)


def _cifar10(directory: Path | None, progress: Progress | None) -> Raw:
    return image_files.cifar10(directory, progress)


NAMED: dict[str, Callable[[Path | None, Progress | None], Raw]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fashion-mnist": _fashion,
    "cifar10": _cifar10,
}


def load(
    name: str,
    data_dir: Path | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """A data set by name, or by path: an ``.npz`` file, an image folder or a zip of one.

    data_dir: where the files of mnist, fashion-mnist and cifar10 are, and what a relative path
    starts from. seed: of the split. Raises DatasetError naming the file and what is expected.
    """
    directory = None if data_dir is None else Path(data_dir)
    if name in NAMED:
        raw = NAMED[name](directory, progress)
    else:
        path = directory / name if directory else Path(name)
        if path.suffix == ".npz":
            raw = array_files.npz(path)
        elif path.is_dir() or path.suffix == ".zip":
            raw = image_files.image_tree(path, progress)
        else:
            raise DatasetError(
                f"data set {name!r} is not known: use {', '.join(NAMED)}, an .npz file, "
                "an image folder (train/<class>/*, test/<class>/*) or a zip of one"
            )
    return _split(name, raw, seed)


def _split(name: str, raw: Raw, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    rest = Split(raw.images, raw.labels)
    if raw.test_images is None or raw.test_labels is None:
        rest, test = stratified(rest, TEST_SHARE, rng)
    else:
        test = Split(raw.test_images, raw.test_labels)
    share = SMALL_VALIDATION_SHARE if len(rest) < SMALL_SET else VALIDATION_SHARE
    train, validation = stratified(rest, share, rng)
    rows = train.images.shape[1:]
    shape = (rows[0], rows[1], rows[2])
    return Dataset(name, shape, raw.classes, train, validation, test, _sha256(raw))


def _sha256(raw: Raw) -> str:
    digest = hashlib.sha256()
    for array in (raw.images, raw.labels, raw.test_images, raw.test_labels):
        if array is not None:
            digest.update(array.tobytes())
    return digest.hexdigest()


def stratified(split: Split, share: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """``split`` in two parts, the second with ``share`` of every class (at least one image).

    Raises DatasetError when a class has fewer than two images.
    """
    second = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = rng.permutation(np.flatnonzero(split.labels == label))
        if len(members) < 2:
            raise DatasetError(f"class {label} has a single image; a split needs more of each")
        second[members[: max(1, round(share * len(members)))]] = True
    return split.take(np.flatnonzero(~second)), split.take(np.flatnonzero(second))
