"""CIFAR-10 as it is handed around: python batches, an image folder, or a zip of one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from models.data.array_files import numbered
from models.data.image_files import Progress, image_tree
from models.data.raw import TEST, TRAIN, Part, Raw
from models.data.values import PIXELS
from models.errors import DatasetError

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
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
"""Exceptions that reading and unpickling a damaged or foreign file may raise."""


def cifar10(
    directory: Path | None, progress: Progress | None = None, *, cache: Path | None = None
) -> Raw:
    """Return CIFAR-10 from its python batches, an image folder or a zip of one.

    directory: the folder with the batches (or with ``cifar-10-batches-py``), with train/ and test/,
    or with zips named ``cifar*10*.zip``, of which the first by name is read; or a zip itself.
    progress, cache: as for ``image_tree``; the batches need neither. Raises DatasetError: nothing
    of these is there (None included), it is damaged, or not 10 classes of (3, 32, 32) images.
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
    raw = image_tree(tree, progress, cache=cache)
    if len(raw.class_names) != 10 or raw.shape != (3, 32, 32):
        raise DatasetError(
            f"{tree}: CIFAR-10 has 10 classes of (3, 32, 32) images, not "
            f"{len(raw.class_names)} of {raw.shape}"
        )
    return raw


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler of the batches' dictionaries and arrays alone: nothing that could run code.

    UnpicklingError is raised for anything else.
    """

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
    batches = [_batch(directory / f"data_batch_{number}") for number in range(1, 6)]
    images = np.concatenate([batch.values for batch in batches])
    labels = np.concatenate([batch.labels for batch in batches])
    parts = {TRAIN: Part(images, labels), TEST: _batch(directory / "test_batch")}
    return Raw(parts, CLASSES, PIXELS)


def _batch(path: Path) -> Part:
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
    return Part(pixels.reshape(-1, 3, 32, 32), numbered(labels, len(pixels), 10, path))
