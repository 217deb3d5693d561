"""CIFAR-10 as it is handed around: python or binary batches, an image folder, or a zip of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from models.data import batches
from models.data.array_files import numbered
from models.data.image_files import Progress, image_tree
from models.data.raw import TEST, TRAIN, Part, Raw
from models.data.values import PIXELS
from models.errors import DatasetError
from models.files.reading import FileError, MissingFile

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
SHAPE = (3, 32, 32)
BINARY = ".bin"
"""Suffix of the batches of the binary version."""


def cifar10(
    directory: Path | None, progress: Progress | None = None, *, cache: Path | None = None
) -> Raw:
    """Return CIFAR-10 from its python or binary batches, an image folder or a zip of one.

    directory: the folder with the batches (or with ``cifar-10-batches-py`` or ``-bin``), with
    train/, or with zips named ``cifar*10*.zip``, of which the first by name is read; or a zip
    itself. The first of these that is there counts.
    progress, cache: as for ``image_tree``; the batches need neither. Raises DatasetError: nothing
    of these is there (None included), it is damaged, or not 10 classes of (3, 32, 32) images.
    """
    expected = (
        "expected the python batches (data_batch_1..5, test_batch), the binary ones (.bin), an "
        "image folder (train/<class>/*, test/<class>/*) or a zip of one"
    )
    if directory is None:
        raise DatasetError(f"cifar10 needs a data folder; {expected}")
    for place in (directory, *(directory / f"cifar-10-batches-{kind}" for kind in ("py", "bin"))):
        for suffix in ("", BINARY):
            if (place / f"data_batch_1{suffix}").exists():
                return _batches(place, suffix)
    zips = sorted(directory.glob("cifar*10*.zip")) if directory.is_dir() else [directory]
    tree = directory if (directory / "train").is_dir() else next(iter(zips), None)
    if tree is None or not tree.exists():
        raise DatasetError(f"cifar10: nothing usable in {directory}; {expected}")
    raw = image_tree(tree, progress, cache=cache)
    if len(raw.class_names) != len(CLASSES) or raw.shape != SHAPE:
        raise DatasetError(
            f"{tree}: CIFAR-10 has 10 classes of (3, 32, 32) images, not "
            f"{len(raw.class_names)} of {raw.shape}"
        )
    return raw


def is_it(raw: Raw) -> bool:
    """Return True for pictures that have the shape of CIFAR-10's, and its classes by name."""
    names = tuple(sorted(name.casefold() for name in raw.class_names))
    return names == CLASSES and raw.shape == SHAPE and raw.range == PIXELS


def _batches(directory: Path, suffix: str) -> Raw:
    train = [_batch(directory / f"data_batch_{number}{suffix}") for number in range(1, 6)]
    images = np.concatenate([batch.values for batch in train])
    labels = np.concatenate([batch.labels for batch in train])
    parts = {TRAIN: Part(images, labels), TEST: _batch(directory / f"test_batch{suffix}")}
    return Raw(parts, CLASSES, PIXELS)


def _batch(path: Path) -> Part:
    read = batches.read_binary if path.suffix == BINARY else batches.read_python
    try:
        pixels, labels = read(path)
    except MissingFile:
        raise DatasetError(f"{path}: no such file; all six batches are needed") from None
    except FileError as error:
        raise DatasetError(str(error)) from None
    return Part(pixels.reshape(-1, 3, 32, 32), numbered(labels, len(pixels), 10, path))
