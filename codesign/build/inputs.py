"""Inputs without labels for a network that exists: picture files and arrays of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build.built import BuiltNetwork
from models.data.layout import Layout, to_channels_first
from models.data.pictures import SUFFIXES, decode, to_channels
from models.data.values import check_finite
from models.errors import DatasetError
from models.files import arrays
from models.files.pictures import MAX_BYTES
from models.files.reading import printable, read_bytes, told_as

ARRAYS = (".npy", ".npz")
ARRAY = "x"
"""Name of the array that is read from an .npz."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of one file as input levels. Made by ``read``."""

    path: Path
    levels: NDArray[np.uint8]
    """Shape (n, channels, rows, columns)."""
    single: bool
    """True for a picture, and an array of one example without an axis that counts examples."""
    notes: tuple[str, ...]


def read(built: BuiltNetwork, path: Path) -> Examples:
    """Read a picture, an .npy array, or the array ``x`` of an .npz, mapped as training did.

    Pictures are resized only if those of the design's data set were. Raises DatasetError naming the
    file: missing, damaged, of another kind or of another shape.
    """
    suffix = path.suffix.casefold()
    if suffix not in (*SUFFIXES, *ARRAYS):
        kinds = ", ".join(sorted(SUFFIXES) + list(ARRAYS))
        raise DatasetError(f"{path}: must be a picture or an array of numbers ({kinds})")
    if suffix in SUFFIXES:
        values, notes = _picture(built, path)
        single = True
    else:
        (values, single), notes = _examples(built, _array(path), str(path)), []
    mapping, assumed = built.mapping(values, suffix in SUFFIXES)
    doubts = mapping.doubts(values, "the file")
    return Examples(path, mapping.levels(values), single, (*notes, *assumed, *doubts))


def _picture(built: BuiltNetwork, path: Path) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the pixels (1, channels, rows, columns) of a picture, and notes.

    Grey becomes three equal channels, and colour one channel of luma (which a note says unless its
    channels are equal), as the network takes it. Raises DatasetError for a damaged picture, another
    size, and a network that takes neither 1 channel nor 3.
    """
    pixels, notes = decode(
        lambda: read_bytes(path, MAX_BYTES),
        str(path),
        built.dataset.resize if built.dataset else None,
    )
    channels, *size = built.shape
    if list(pixels.shape[1:]) != size:
        found, wanted = (f"{rows}x{columns}" for rows, columns in (pixels.shape[1:], size))
        raise DatasetError(
            f"{path}: has {found} pixels (rows x columns), the network takes {wanted}; pictures "
            "are resized only if the data set of the network was"
        )
    stack, greyed = to_channels(pixels[None], channels)
    if stack.shape[1] != channels:
        raise DatasetError(f"{path}: pictures have 1 or 3 channels, the network takes {channels}")
    return stack, sorted({*notes, *greyed})


def _array(path: Path) -> NDArray[Any]:
    """Return the only array of an .npy, or the array ``x`` of an .npz. Raises DatasetError."""
    with told_as(DatasetError):
        if path.suffix.casefold() == ".npy":
            return arrays.read_npy(path)
        found = arrays.read_npz(path)
    if ARRAY not in found:
        names = ", ".join(found) or "nothing"
        raise DatasetError(f"{path}: array {ARRAY} is missing (found: {printable(names)})")
    return found[ARRAY]


def _examples(built: BuiltNetwork, array: NDArray[Any], where: str) -> tuple[NDArray[Any], bool]:
    """Return an array as (n, channels, rows, columns), and whether it is one example.

    Its axes are those that the design says, else the first layout (in Layout's order) that gives
    the network's shape, each tried with an axis that counts examples, then without. where: what
    messages name. Raises DatasetError for no such layout, an empty array, values that are no finite
    numbers.
    """
    if not array.size:
        raise DatasetError(f"{where}: the array {array.shape} is empty")
    asked = Layout(built.dataset.layout) if built.dataset else Layout.AUTO
    layouts = [asked] if asked is not Layout.AUTO else list(Layout)
    for layout in layouts:
        for single in (False, True):
            try:
                found, _ = to_channels_first(array[None] if single else array, layout, where)
            except DatasetError:  # has not so many axes
                continue
            if found.shape[1:] == built.shape:
                check_finite(found, where)
                return found, single
    axes = "" if asked is Layout.AUTO else f" in the design's layout {asked}"
    raise DatasetError(
        f"{where}: the array {array.shape} holds no examples of the shape {built.shape} (channels, "
        f"rows, columns){axes}, which the network takes"
    )
