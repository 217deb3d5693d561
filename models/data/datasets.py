"""Data sets by name or path: input levels uint8 (n, channels, rows, columns) in three parts.

A user's own parts are kept; what is missing is split off by seed and by class, validation from the
training part. Choices of any kind look at validation only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data import array_files, cifar10, image_files, targets, values
from models.data.layout import Layout
from models.data.raw import TEST, TRAIN, VALIDATION, Labels, Raw
from models.data.splitting import split_off
from models.data.targets import CLASSES, RECONSTRUCTION
from models.data.values import PIXELS, InputRange
from models.errors import DatasetError

Progress = image_files.Progress
Images = NDArray[np.uint8]
FEW_TEST_IMAGES = 100
_OTHERS = "two lines of numpy make an .npz of CSV and other files (docs/data.md)"
AUGMENTATIONS = ("none", "shift", "mirror", "shift+mirror")
"""Names of the kinds of random changes to training images (models.data.augmentation)."""


@dataclass(frozen=True)
class ReadOptions:
    """Choices of a user about his data where the reader would have to guess.

    layout: axes of an .npz's x; no effect on other data.

    >>> ReadOptions(resize=(32, 32)).layout
    <Layout.AUTO: 'auto'>
    """

    layout: Layout = Layout.AUTO
    resize: tuple[int, int] | None = None
    """(rows, columns) that the pictures of a folder or zip are brought to; None: all must have one
    size. No effect on other data."""
    input_range: InputRange | None = None
    """The mapping from values to input levels; None: the format's own (8-bit pictures: 0..255),
    else found on the training part."""
    task: str = CLASSES
    """What the data's answers are (targets.TASKS); others than classes come in an .npz alone."""


@dataclass(frozen=True, eq=False)
class Split:
    """Examples: input levels uint8 (n, channels, rows, columns), labels int64 (n,).

    Where answers are no classes of the whole, labels are those of ``targets.npz``.

    >>> import numpy as np
    >>> split = Split(np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 1, 1]))
    >>> len(split.take(np.array([0, 2])))
    2
    """

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> Split:
        """The examples at ``indices`` (from 0), in that order."""
        return Split(self.images[indices], self.labels[indices])

    def spread(self, most: int) -> Split:
        """Up to ``most`` examples, evenly spread: those of a folder of pictures lie by class."""
        count = min(most, len(self))
        return self.take(np.arange(count) * len(self) // max(count, 1))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, ready for training. Made by ``load``."""

    name: str
    """The name or path that ``load`` was given."""
    shape: tuple[int, int, int]
    """(channels, rows, columns) of one example."""
    classes: int
    """Number of classes; 0 where answers are numbers or the input."""
    train: Split
    validation: Split
    test: Split
    sha256: str = ""
    """SHA-256, hexadecimal, of the user's values and labels in all parts, before values are mapped
    and parts split off; "" for a part of a data set."""
    class_names: tuple[str, ...] = ()
    """Names by class number; empty: the numbers are the names."""
    input_range: InputRange = PIXELS
    """The values that became level 0 and level 255."""
    augmentation: str = "none"
    """The kind of random changes (AUGMENTATIONS) that training uses unless told otherwise."""
    known_as: str | None = None
    """The set of NAMED that shape and classes show it to be; None for the others, and where the
    name says it."""
    notes: tuple[str, ...] = ()
    """A sentence for everything that was guessed, converted, left out or is doubtful."""
    pictures: bool = False
    """True if its values are 8-bit pixels by its format."""
    task: str = CLASSES
    """What the answers are (targets.TASKS)."""

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each class, by class number."""
        return self.class_names or tuple(map(str, range(self.classes)))


@dataclass(frozen=True)
class _Named:
    """A data set known by name, with the augmentation that its figures were measured with.

    read: function of (folder with the files, progress, cache folder), each of which may be None,
    that returns the data set.
    """

    read: Callable[[Path | None, Progress | None, Path | None], Raw]
    augmentation: str


NAMED = {
    "digits": _Named(lambda folder, progress, cache: array_files.digits(), "shift"),
    "mnist": _Named(lambda folder, progress, cache: array_files.mnist("mnist", folder), "shift"),
    "fashion-mnist": _Named(
        lambda folder, progress, cache: array_files.mnist("fashion-mnist", folder), "shift"
    ),
    "cifar10": _Named(
        lambda folder, progress, cache: cifar10.cifar10(folder, progress, cache=cache),
        "shift+mirror",
    ),
}


def load(
    name: str,
    data_dir: Path | str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    *,
    options: ReadOptions = ReadOptions(),
    cache: Path | None = None,
) -> Dataset:
    """Load a data set by name, or by path: an ``.npz`` file, an image folder or a zip of one.

    data_dir: folder with the files of mnist, fashion-mnist or cifar10, and the base of a relative
    path (None: the current folder). seed: seed of the split into parts that are missing. progress:
    called while an image folder or zip is decoded, not if its images are cached. cache: folder in
    which decoded pictures are kept; None keeps none. Raises DatasetError naming the file and what
    is expected, OSError for a file that cannot be read.
    """
    raw = read_raw(name, data_dir, progress, options=options, cache=cache)
    if options.resize and raw.shape[1:] != options.resize:
        note = "resize has no effect: only pictures in a folder or zip are brought to a size"
        raw = replace(raw, notes=(*raw.notes, note))
    found = _prepared(name, raw, seed, options.input_range)
    known_as = "cifar10" if name not in NAMED and cifar10.is_it(raw) else None
    named = NAMED.get(known_as or name)
    return replace(found, augmentation=named.augmentation, known_as=known_as) if named else found


def read_raw(
    name: str,
    data_dir: Path | str | None = None,
    progress: Progress | None = None,
    *,
    options: ReadOptions = ReadOptions(),
    cache: Path | None = None,
) -> Raw:
    """Return a data set's own parts and values, with nothing mapped or split off.

    Arguments and errors are those of ``load``; ``options.input_range`` has no effect.
    """
    directory = None if data_dir is None else Path(data_dir)
    path = directory / name if directory else Path(name)
    if options.task != CLASSES:
        return _answers(path, options)
    if name in NAMED:
        return NAMED[name].read(directory, progress, cache)
    suffix = path.suffix.casefold()
    if suffix == ".npz":
        return array_files.npz(path, options.layout)
    if path.is_dir() or suffix == ".zip":
        return image_files.image_tree(path, progress, resize=options.resize, cache=cache)
    if path.exists():
        raise DatasetError(f"{path}: is no .npz file, image folder or zip of one; {_OTHERS}")
    if path.suffix or len(Path(name).parts) > 1:
        raise DatasetError(f"{path}: no such .npz file, image folder or zip")
    raise DatasetError(
        f"data set {name!r} is not known: use {', '.join(NAMED)}, an .npz file, "
        f"an image folder (train/<class>/*, test/<class>/*) or a zip of one"
    )


def _answers(path: Path, options: ReadOptions) -> Raw:
    """Return data whose answers are no classes of the whole. Raises DatasetError."""
    if path.suffix.casefold() != ".npz":
        raise DatasetError(
            f"{path}: answers of the task {options.task} come in an .npz file with arrays x and y "
            "(docs/how-to/your-own-data.md); other data sets have classes"
        )
    return targets.npz(path, options.task, options.layout)


def _prepared(name: str, raw: Raw, seed: int, wanted: InputRange | None) -> Dataset:
    """Return the Dataset of ``raw``: missing parts split off, all parts mapped to levels alike.

    seed: of the split. wanted: the mapping; None takes the format's own, or one found on the
    training part (after the split). Raises DatasetError.
    """
    notes = list(raw.notes)
    if TRAIN not in raw.parts:
        raise DatasetError(f"{name}: array x, or x_train, is missing: there is nothing to learn")
    digest = hashlib.sha256()
    for given in raw.parts.values():
        digest.update(given.values.tobytes())
        digest.update(given.labels.tobytes())
    whole = dict(raw.parts)
    notes += split_off(whole, np.random.default_rng(seed), raw)
    mapping = wanted or raw.range
    if mapping is None:
        mapping, said = values.find_range(whole[TRAIN].values)
        notes += said
    mapping.check(raw.shape[0])
    for part, given in raw.parts.items():
        if part != TRAIN or wanted or raw.range:  # else the range is the training part's own
            notes += mapping.doubts(given.values, f"the {part} part")
    parts = {
        part: Split(mapping.levels(given.values), given.labels) for part, given in whole.items()
    }
    notes += values.doubts(parts[TRAIN].images)
    if len(parts[TEST]) < FEW_TEST_IMAGES:
        notes.append(f"the test part has {len(parts[TEST])} examples: accuracies are coarse")
    classes = 0 if raw.task == RECONSTRUCTION else len(raw.class_names)
    return Dataset(
        name, raw.shape, classes, parts[TRAIN], parts[VALIDATION], parts[TEST],
        digest.hexdigest(), raw.class_names, mapping, notes=tuple(notes),
        pictures=raw.range == PIXELS, task=raw.task,
    )  # fmt: skip
