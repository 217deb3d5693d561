"""Examples whose answers are no class of the whole: numbers, a class for each pixel, or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.array_files import SUFFIXES, npz_arrays
from models.data.layout import Layout, to_channels_first
from models.data.raw import TEST, Values
from models.data.values import check_finite
from models.errors import DatasetError


@dataclass(frozen=True, eq=False)
class Targets:
    """Examples (n, channels, rows, columns) and their answers (n, ...). Made by ``npz``."""

    values: Values
    answers: NDArray[Any] | None
    """Numbers of any kind and shape, as the file holds them; None: the file has no y."""
    notes: tuple[str, ...]


def npz(path: Path, layout: Layout = Layout.AUTO) -> Targets:
    """Return the test part of an .npz file, or all of it if it has none, with answers as they are.

    Names of the arrays and ``layout`` are those of ``array_files.npz``; y may be missing. Raises
    DatasetError.
    """
    found = npz_arrays(path)
    ends = {part: [s for s in each if f"x{s}" in found][:1] for part, each in SUFFIXES.items()}
    taken = ends[TEST] or [suffix for each in ends.values() for suffix in each]
    if not taken:
        raise DatasetError(f"{path}: array x is missing (found: {', '.join(found) or 'nothing'})")
    pairs = [to_channels_first(found[f"x{s}"], layout, f"{path}: x{s}") for s in taken]
    values = [value for value, _ in pairs]
    for value, suffix in zip(values, taken, strict=True):
        check_finite(value, f"{path}: x{suffix}")
        if value.shape[1:] != values[0].shape[1:]:
            raise DatasetError(f"{path}: x{suffix} {value.shape} does not match x{taken[0]}")
    answers = [found.get(f"y{suffix}") for suffix in taken]
    notes = pairs[0][1]
    if not ends[TEST]:
        notes = [*notes, "there is no test part: all examples are used"]
    return Targets(np.concatenate(values), _answers(answers, values, f"{path}: y"), tuple(notes))


def _answers(
    found: list[NDArray[Any] | None], values: list[Values], where: str
) -> NDArray[Any] | None:
    """Return the answers of all parts as one array; None if no part has any."""
    given = [answers for answers in found if answers is not None]
    if not given:
        return None
    counts = [len(value) for value in values]
    if [len(one) if one.ndim else 0 for one in given] != counts:
        raise DatasetError(f"{where}: {sum(counts)} answers expected, one per example")
    if len({one.shape[1:] for one in given}) > 1:
        raise DatasetError(f"{where}: its parts have different shapes")
    whole = np.concatenate(given)
    if whole.dtype.kind in "biuf":
        check_finite(whole, where)
    return whole
