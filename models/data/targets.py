"""Data sets whose answers are no class of the whole: numbers, a class for each pixel, or none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.data.array_files import SUFFIXES, npz_arrays
from models.data.layout import Layout, to_channels_first
from models.data.raw import MAX_CLASSES, Part, Raw, Values
from models.data.values import check_finite
from models.errors import DatasetError
from models.files.reading import printable

CLASSES, PIXELS, NUMBERS, RECONSTRUCTION = "classes", "pixels", "numbers", "reconstruction"
TASKS = (CLASSES, PIXELS, NUMBERS, RECONSTRUCTION)
"""What the outputs of a network can be: a class of the whole or of each pixel, numbers, its input
again."""
LEFT_OUT = 255
"""Label of pixels that have no class, where there are fewer classes."""
LARGEST = 1e8
"""Largest magnitude of numbers to learn."""
DIFFERENT = 16
"""Numbers whose standard deviations differ by more than this factor are noted."""
Answers = Mapping[str, NDArray[Any]]
"""The y of each part that has one."""
Read = tuple[dict[str, NDArray[Any]], tuple[str, ...], list[str]]
"""Labels by part, names of classes, and notes."""


def npz(path: Path, task: str, layout: Layout = Layout.AUTO) -> Raw:
    """Return the parts of an .npz file, whose y are the answers of a task, any but CLASSES.

    Names of the arrays and ``layout`` are those of ``array_files.npz``; at least one part is there.
    Labels of the parts are numbers, float64 (n, ...) as the file has them; class numbers, int64
    (n, rows, columns), LEFT_OUT included; or of reconstruction 1 of an anomalous example and 0 of a
    normal one, int64 (n,), all 0 where the file has no y. Class names are those of pixels, or the
    values of y of normal and of anomalous examples, if there are both. Raises DatasetError.
    """
    found = npz_arrays(path)
    used = {
        part: suffix
        for part, suffixes in SUFFIXES.items()
        for suffix in [s for s in suffixes if f"x{s}" in found][:1]
    }
    if not used:
        raise DatasetError(f"{path}: array x is missing (found: {', '.join(found) or 'nothing'})")
    values, notes = _values(found, used, layout, path)
    given = {}
    for part, suffix in used.items():
        y = f"y{suffix}"
        if y in found:
            given[part] = _checked(found[y], len(values[part]), f"{path}: {y}")
        elif task != RECONSTRUCTION:
            raise DatasetError(f"{path}: array {y} is missing; {_WANTED[task]}")
    labels, names, said = _READERS[task](given, f"{path}: y")
    blank = {part: np.zeros(len(values[part]), np.int64) for part in used}
    labels = {**blank, **labels}
    arrays = {f"{axis}{suffix}" for suffix in used.values() for axis in "xy"}
    unused = ", ".join(name for name in found if name not in arrays)
    notes += [f"arrays that are not used: {printable(unused)}"] if unused else []
    parts = {part: Part(values[part], labels[part]) for part in used}
    return Raw(parts, names, notes=(*notes, *said), task=task)


def _values(
    found: Mapping[str, NDArray[Any]], used: Mapping[str, str], layout: Layout, path: Path
) -> tuple[dict[str, Values], list[str]]:
    """Return the examples of each part, and notes on the first one's axes."""
    values: dict[str, Values] = {}
    notes: list[str] = []
    first = next(iter(used))
    for part, suffix in used.items():
        where = f"{path}: x{suffix}"
        values[part], said = to_channels_first(found[f"x{suffix}"], layout, where)
        check_finite(values[part], where)
        notes += said if part == first else []
        if values[part].shape[1:] != values[first].shape[1:]:
            raise DatasetError(f"{where} {values[part].shape} does not match x{used[first]}")
    return values, notes


def _checked(answers: NDArray[Any], count: int, where: str) -> NDArray[Any]:
    if not answers.ndim or len(answers) != count:
        raise DatasetError(f"{where}: {count} answers expected, one per example")
    if answers.dtype.kind in "biuf":
        check_finite(answers, where)
    return answers


def _numbers(given: Answers, where: str) -> Read:
    """Return the numbers of all parts as reals. Raises DatasetError."""
    for answers in given.values():
        if answers.dtype.kind not in "biuf":
            raise DatasetError(f"{where}: {_WANTED[NUMBERS]}, not {answers.dtype}")
    _check_alike(given, where)
    labels = {part: answers.astype(np.float64) for part, answers in given.items()}
    if any(np.abs(answers).max(initial=0) > LARGEST for answers in labels.values()):
        raise DatasetError(f"{where}: holds numbers beyond {LARGEST:g}; scale them")
    first = next(iter(labels.values()))
    spreads = first.reshape(len(first), -1).std(axis=0)
    spreads = spreads[spreads > 0]
    ratio = spreads.max() / spreads.min() if len(spreads) else 1.0
    said = (
        f"some of the numbers vary {ratio:.3g} times as much as others: all outputs of a network "
        "share one step, and errors add up, so scale them alike"
    )
    return labels, (), [said] if ratio > DIFFERENT else []


def _pixels(given: Answers, where: str) -> Read:
    """Return the class numbers of all parts, and names of the classes. Raises DatasetError."""
    for answers in given.values():
        if answers.dtype.kind not in "iub" or answers.ndim != 3:
            raise DatasetError(
                f"{where}: {_WANTED[PIXELS]}, not {answers.dtype} of the shape {answers.shape}"
            )
    _check_alike(given, where)
    labels = {part: answers.astype(np.int64) for part, answers in given.items()}
    every = np.unique(np.concatenate([np.unique(answers) for answers in labels.values()]))
    outside = every[(every < 0) | (every >= MAX_CLASSES)]
    if len(outside):
        raise DatasetError(f"{where}: label {outside[0]} is outside 0..{MAX_CLASSES - 1}")
    classes = every if every.max(initial=0) > LEFT_OUT else every[every != LEFT_OUT]
    if not len(classes):
        raise DatasetError(f"{where}: no pixel has a class, as all labels are {LEFT_OUT}")
    left = sum(int((answers == LEFT_OUT).sum()) for answers in labels.values())
    said = [f"pixels of label {LEFT_OUT} are left out"] if left and LEFT_OUT not in classes else []
    return labels, tuple(map(str, range(int(classes[-1]) + 1))), said


def _anomalies(given: Answers, where: str) -> Read:
    """Return 1 of the anomalous examples of all parts and 0 of the others, and the values of both.

    Raises DatasetError.
    """
    if not given:
        return {}, (), ["the data have no y: without normal and anomalous ones there is no area"]
    names = np.unique(np.concatenate([np.unique(answers) for answers in given.values()]))
    shapes = sorted({answers.shape for answers in given.values()})
    if len(names) > 2 or any(math.prod(shape[1:]) != 1 for shape in shapes):
        shown = ", ".join(map(str, shapes))
        raise DatasetError(
            f"{where}: {_WANTED[RECONSTRUCTION]}; it has {len(names)} values and the shape {shown}"
        )
    labels = {part: (y.ravel() != names[0]).astype(np.int64) for part, y in given.items()}
    if len(names) < 2:
        return labels, (), [f"y is {names[0]} throughout, so that all examples count as normal"]
    said = f"{names[1]} counts as anomalous, {names[0]} as normal"
    return labels, tuple(map(str, names)), [said]


def _check_alike(given: Answers, where: str) -> None:
    if len({answers.shape[1:] for answers in given.values()}) > 1:
        raise DatasetError(f"{where}: its parts have different shapes")


_WANTED = {
    NUMBERS: "y must hold numbers",
    PIXELS: "y must hold a class number for each pixel, (n, rows, columns)",
    RECONSTRUCTION: "y must have two classes, normal before anomalous, one for each example (leave "
    "it out for the error alone)",
}
_READERS = {NUMBERS: _numbers, PIXELS: _pixels, RECONSTRUCTION: _anomalies}
