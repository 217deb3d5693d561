"""Loading and splitting of data sets: images uint8 (n, C, H, W), labels int64 (n,).

Splits are drawn per class from a seed. An official test part becomes the test split; without one a
fifth of the images does. Validation images come from the remaining ones. Training and search make
their choices on the validation split, never on the test split.
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
"""Callback with (images decoded, images in all), every 500 images while image files are read."""

VALIDATION_SHARE = 0.1
"""Fraction of the training part that becomes the validation split."""
TEST_SHARE = 0.2
"""Fraction of the images that becomes the test split of a set without an official one."""
SMALL_SET = 5000
"""Training parts with fewer images have SMALL_VALIDATION_SHARE."""
SMALL_VALIDATION_SHARE = 0.15
"""Validation fraction of small sets: a tenth would measure too coarsely."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images uint8 (n, C, H, W) with their labels int64 (n,).

    >>> split = Split(np.zeros((3, 1, 8, 8), np.uint8), np.array([7, 8, 9]))
    >>> split.take(np.array([2, 0])).labels
    array([9, 7])
    """

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one shape (channels, rows, columns) in three splits; ``classes`` is a count.

    >>> digits = load("digits")
    >>> digits.shape, digits.classes, len(digits.train)
    ((1, 8, 8), 10, 1222)
    """

    name: str
    """Name or path given to ``load``."""
    shape: tuple[int, int, int]
    classes: int
    train: Split
    validation: Split
    test: Split
    sha256: str = ""
    """SHA-256 hash of all images and labels before the split; empty for a subset."""


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
"""Readers of the data sets known by name."""


def load(
    name: str,
    data_dir: Path | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Dataset:
    """Load a data set by name, or by path: an ``.npz`` file, an image folder or a zip of one.

    data_dir: folder with the files of mnist, fashion-mnist or cifar10, and the base of a relative
    path. seed: seed of the split. progress: called while an image folder or zip is decoded, not if
    its images are cached. Raises DatasetError naming the file and what is expected, OSError for a
    file that cannot be read.
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
    """Divide a split in two, per class; the second part gets ``share`` of every class.

    Numbers are rounded, but at least one image each. The choice is random; both parts keep the
    order of ``split``. Raises DatasetError when a class has fewer than two images.
    """
    second = np.zeros(len(split), bool)
    for label in np.unique(split.labels):
        members = rng.permutation(np.flatnonzero(split.labels == label))
        if len(members) < 2:
            raise DatasetError(f"class {label} has a single image; a split needs more of each")
        second[members[: max(1, round(share * len(members)))]] = True
    return split.take(np.flatnonzero(~second)), split.take(np.flatnonzero(second))
