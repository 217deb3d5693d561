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

from models.data import array_files, cifar10, image_files, values
from models.data.layout import Layout
from models.data.raw import TEST, TRAIN, VALIDATION, Labels, Part, Raw
from models.data.values import PIXELS, InputRange
from models.errors import DatasetError
from models.files.reading import printable

Progress = image_files.Progress
Images = NDArray[np.uint8]
VALIDATION_SHARE = 0.1
TEST_SHARE = 0.2
"""Share of each class of the training data that becomes the test part, where there is none."""
SMALL_SET = 5000
SMALL_VALIDATION_SHARE = 0.15
"""Share of each class that becomes validation, in place of VALIDATION_SHARE, if the training data
(without the test part) has fewer than SMALL_SET examples: a tenth would measure too coarsely."""
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


@dataclass(frozen=True, eq=False)
class Split:
    """Examples: input levels uint8 (n, channels, rows, columns), labels int64 (n,).

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
    if name in NAMED:
        return NAMED[name].read(directory, progress, cache)
    path = directory / name if directory else Path(name)
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


def _prepared(name: str, raw: Raw, seed: int, wanted: InputRange | None) -> Dataset:
    """Return the Dataset of ``raw``: missing parts split off, all parts mapped to levels alike.

    seed: of the split. wanted: the mapping; None takes the format's own, or one found on the
    training part (after the split). Raises DatasetError.
    """
    notes = list(raw.notes)
    digest = hashlib.sha256()
    for given in raw.parts.values():
        digest.update(given.values.tobytes())
        digest.update(given.labels.tobytes())
    whole = dict(raw.parts)
    notes += _split_off(whole, np.random.default_rng(seed), raw.class_names)
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
    return Dataset(
        name, raw.shape, len(raw.class_names), parts[TRAIN], parts[VALIDATION], parts[TEST],
        digest.hexdigest(), raw.class_names, mapping, notes=tuple(notes),
        pictures=raw.range == PIXELS,
    )  # fmt: skip


def _split_off(
    parts: dict[str, Part], rng: np.random.Generator, names: tuple[str, ...]
) -> list[str]:
    """Add a missing test, then validation part to ``parts`` in place, taken from training.

    It is taken by class (``stratified``). Returns a list that holds a note if a test part was split
    off; validation gets none. names: by class number, for messages. Raises DatasetError for a class
    of a single training example.
    """
    notes = []
    if TEST not in parts:
        _take_from_training(parts, TEST, TEST_SHARE, rng, names)
        notes.append(f"there is no test part: {len(parts[TEST])} examples were split off at random")
    if VALIDATION not in parts:
        small = len(parts[TRAIN]) < SMALL_SET
        share = SMALL_VALIDATION_SHARE if small else VALIDATION_SHARE
        _take_from_training(parts, VALIDATION, share, rng, names)
    return notes


def _take_from_training(
    parts: dict[str, Part],
    name: str,
    share: float,
    rng: np.random.Generator,
    names: tuple[str, ...],
) -> None:
    train = parts[TRAIN]
    for label, count in zip(*np.unique(train.labels, return_counts=True), strict=True):
        if count < 2:
            raise DatasetError(
                f"class {printable(names[label])} has a single training example left, so no "
                f"{name} part can be split off: give more of it, or a {name} part"
            )
    kept, taken = stratified(train.labels, share, rng)
    parts[TRAIN], parts[name] = train.take(kept), train.take(taken)


def stratified(
    labels: Labels, share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions in two parts, each ascending; the second has ``share`` of every class.

    Of each class that is round(share * its examples), half to even, at least one; ``rng`` picks
    them. labels: (n,), at least two of each class.
    """
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        second[members[: max(1, round(share * len(members)))]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)
