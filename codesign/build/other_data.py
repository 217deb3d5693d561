"""Labelled data for a network that exists: its mapping of values, its classes by name."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.build import pipeline
from codesign.build.built import BuiltNetwork
from codesign.build.evaluation import (
    TEST,
    Evaluation,
    Judged,
    Measured,
    measures_of,
    scores_of,
)
from codesign.design import DatasetSpec
from codesign.tools import caches
from models.data import datasets
from models.data.datasets import Dataset, Progress, ReadOptions, Split
from models.data.layout import Layout
from models.data.pictures import to_channels
from models.data.raw import TRAIN, Labels, Part, Raw, Values
from models.data.targets import CLASSES, LEFT_OUT, PIXELS
from models.data.values import PIXELS as PIXEL_RANGE
from models.errors import DatasetError
from models.tasks.kinds import TASKS
from models.tasks.scores import Scores

FEW_OF = 4
"""So many times as many outputs as the data have classes, and as many as inputs, are those of an
auto-encoder."""


@dataclass(frozen=True, eq=False)
class TestData:
    """Examples with the network's class numbers. Made by ``load``."""

    __test__ = False
    """False: pytest must not collect this class as tests, in spite of its name."""

    name: str
    split: Split
    notes: tuple[str, ...]
    whole: bool = False
    """True where they are all examples of a data set that has no test part."""


def load(
    built: BuiltNetwork,
    spec: DatasetSpec,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> TestData:
    """Load the examples of a data set that a network is tested with.

    These are the test part of the network's own data set, split off as for training if need be; of
    another data set its test part, or all of it if it has none. spec: the data set, and how it is
    read; its own if the name or path is the design's. data_dir: folder with its files, or None.
    progress: called while pictures are decoded.

    Raises DatasetError for data of another shape, or with classes that the network does not have,
    and as datasets.load does; pictures of another data set are made grey, or three channels of
    grey, as the network takes them.
    """
    own = built.design
    if own and _same(spec.name, own.dataset.name):
        design = dataclasses.replace(own, dataset=spec, input=built.input_range)
        dataset = pipeline.dataset_of(design, data_dir, progress)
        _check_shape(built, spec.name, dataset.shape)
        if built.task != CLASSES:
            return TestData(spec.name, dataset.test, dataset.notes)
        numbers, said = _numbers(built, spec.name, dataset.names)
        split = Split(dataset.test.images, numbers[dataset.test.labels])
        return TestData(spec.name, split, (*dataset.notes, *said))
    found = given(built, spec, data_dir, progress)
    mapping, assumed = built.mapping(found.part.values, found.pictures)
    split = Split(mapping.levels(found.part.values), found.part.labels)
    doubts = mapping.doubts(found.part.values, "the data set")
    return TestData(spec.name, split, (*found.notes, *assumed, *doubts), found.whole)


@dataclass(frozen=True, eq=False)
class Given:
    """Examples of a data set in its own numbers, with a network's class numbers. Made by ``given``.

    pictures: True for 8-bit pixels.
    """

    part: Part
    pictures: bool
    notes: tuple[str, ...]
    whole: bool
    """As of TestData."""


def given(
    built: BuiltNetwork, spec: DatasetSpec, data_dir: Path | None, progress: Progress | None = None
) -> Given:
    """Return the test part of a data set, or all of it if it has none, for a network.

    Arguments and errors: as for ``load``.
    """
    if built.task == CLASSES:
        built.check_classes()
    options = ReadOptions(Layout(spec.layout), spec.resize, task=built.task)
    with caches.folder(caches.DATASETS) as cache:
        raw = datasets.read_raw(spec.name, data_dir, progress, options=options, cache=cache)
    part, more = part_of(raw)
    values = part.values
    if raw.range == PIXEL_RANGE:  # pictures, whose channels can be fitted
        values, greyed = to_channels(values, built.shape[0])
        more += greyed
    _check_shape(built, spec.name, values.shape[1:])
    if built.task != CLASSES:
        _check_answers(built, spec.name, values, part.labels)
        notes = (*raw.notes, *more)
        return Given(Part(values, part.labels), False, notes, TEST not in raw.parts)
    numbers, said = _numbers(built, spec.name, raw.class_names)
    notes = (*raw.notes, *more, *said)
    whole = TEST not in raw.parts
    return Given(Part(values, numbers[part.labels]), raw.range == PIXEL_RANGE, notes, whole)


def evaluate(built: BuiltNetwork, data: TestData) -> Judged:
    """Run the integer network on all examples; the evaluation's only part is ``test``."""
    if built.task != CLASSES:
        found = measures_of(built.network, data.split, built.task)
        return Measured(built.task, {TEST: found}, data.notes)
    scores = scores_of(built.network, data.split, len(built.classes))
    return judged(scores, built.classes, data.notes, whole=data.whole)


def judged(
    scores: Scores, classes: tuple[str, ...], notes: Sequence[str], *, whole: bool
) -> Evaluation:
    """Return the evaluation of the part ``test``, its doubts behind the notes.

    whole: as of TestData.
    """
    doubts = scores.doubts(classes, "" if whole else TEST)
    return Evaluation({TEST: scores}, classes, (*notes, *doubts), whole)


def _same(name: str, own: str) -> bool:
    return name == own or Path(name).resolve() == Path(own).resolve()


def part_of(raw: Raw) -> tuple[Part, list[str]]:
    """Return the test part without notes, or all parts as one (training first) with a note."""
    if TEST in raw.parts:
        return raw.parts[TEST], []
    names = sorted(raw.parts, key=lambda name: name != TRAIN)
    values, labels = (
        np.concatenate([getattr(raw.parts[name], what) for name in names])
        for what in ("values", "labels")
    )
    return Part(values, labels), [f"there is no test part: all {len(labels)} examples are used"]


def _check_shape(built: BuiltNetwork, name: str, shape: tuple[int, ...]) -> None:
    if tuple(shape) != built.shape:
        raise DatasetError(
            f"{name}: examples have the shape {tuple(shape)} (channels, rows, columns), the "
            f"network takes {built.shape}"
        )


def _check_answers(built: BuiltNetwork, name: str, values: Values, labels: Labels) -> None:
    """Raise ModelError unless the answers of data are those of a network that has no classes."""
    split, output = Split(values, labels), built.network.output
    classes = int(labels[labels != LEFT_OUT].max(initial=0)) + 1 if built.task == PIXELS else 0
    data = Dataset(name, built.shape, classes, split, split, split, task=built.task)
    TASKS[built.task].check(output.name, output.shape, data)


def _numbers(built: BuiltNetwork, name: str, names: tuple[str, ...]) -> tuple[Labels, list[str]]:
    """Return the network's class number of each of the data's classes, int64, and notes.

    Classes are matched by name; data that has numbers for a network that has names, by number. An
    imported network, whose file names no classes, takes those of named data in their order, and
    those of numbers where there are as many as its own.
    name: the data set's, for messages. Raises DatasetError for a class that the network does not
    have.
    """
    outputs = len(built.classes)
    if built.design is None and math.prod(built.shape) == outputs > FEW_OF * len(names):
        raise DatasetError(
            f"{name}: {len(names)} classes, for a network with as many outputs as inputs, "
            f"{outputs}; of an auto-encoder's folder codesign evaluate --task "
            "reconstruction measures the error"
        )
    known = {own: number for number, own in enumerate(built.classes)}
    by_order = not _are_numbers(names) or len(names) == len(built.classes)
    if built.design is None and _are_numbers(built.classes) and by_order and names != built.classes:
        known = dict(zip(names, range(len(built.classes)), strict=False))
        said = [f"the network's classes have no names: class 0 is {names[0]}, and so on"]
        return _known(built, name, names, known), said
    if _are_numbers(names) and not _are_numbers(built.classes):
        known = {str(number): number for number in range(len(built.classes))}
    numbers = _known(built, name, names, known)
    by_number = _are_numbers(names) and not _are_numbers(built.classes)
    said = [f"the data's classes have no names: class 0 is {built.classes[0]}"] if by_number else []
    return numbers, said


def _known(
    built: BuiltNetwork, name: str, names: tuple[str, ...], known: Mapping[str, int]
) -> Labels:
    """Return the numbers of class names. Raises DatasetError for one that is not known."""
    for one in names:
        if one not in known:
            raise DatasetError(
                f"{name}: class {one} is not among the {len(built.classes)} classes of the "
                f"network ({built.named()})"
            )
    return np.array([known[one] for one in names], np.int64)


def _are_numbers(names: tuple[str, ...]) -> bool:
    return all(name.isdecimal() for name in names)
