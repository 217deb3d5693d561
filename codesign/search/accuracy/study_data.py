"""Tables of the accuracy study: CSV files, read strictly, replaced atomically."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from codesign.results import UserError
from models.files.reading import told_as
from models.files.tables import read_csv, wrong_columns
from models.files.writing import atomic_file

SHIPPED = Path(__file__).parent / "data"
"""Folder of the shipped tables, made by ``python -m codesign.search.accuracy.study``."""
BRIEFS = "briefs_cifar10.csv"
"""Shipped table of Brief rows, made by ``python -m benchmarks.search.photos``."""


@dataclass(frozen=True)
class Training:
    """Result of one training of a network. Read by ``read``.

    Accuracies are those of the fake-quantised network. Raises ValueError unless they are 0..1.
    """

    key: str
    """Identity of the network (codesign.search.space.genome.network_key)."""
    seed: int
    """Seed of initialisation, order and choice of the training images."""
    epochs: int
    train_images: int
    validation: float
    """Accuracy on the full validation split."""
    test: float
    """Accuracy on the test split, by which nothing is selected."""
    seconds: float
    """CPU seconds of the training, on one thread."""
    tool: str
    """Name and version of the training library."""
    date: str
    """ISO date of the run."""
    genes: str
    """Candidate: indices into the choices of the search space, separated by spaces."""

    def __post_init__(self) -> None:
        if not (0 <= self.validation <= 1 and 0 <= self.test <= 1):
            raise ValueError("accuracies must be 0..1")

    @property
    def identity(self) -> tuple[object, ...]:
        """Values that no two rows of a table share."""
        return self.key, self.seed


@dataclass(frozen=True)
class Description:
    """Features, zero-cost proxies and supernet figures of an untrained network. Read by ``read``.

    Numbers are logarithms or counts as defined in codesign.search.accuracy.features,
    models.supernet.proxies and models.supernet.network.
    """

    key: str
    log2_weights: float
    log2_macs: float
    layers: float
    mean_weight_bits: float
    least_weight_bits: float
    mean_activation_bits: float
    least_input_bits: float
    log2_least_channels: float
    sums: float
    log2_classifier_inputs: float
    short_accumulator_bits: float
    grad_norm: float
    snip: float
    synflow: float
    fisher: float
    naswot: float
    zen: float
    supernet_accuracy: float
    """Accuracy with shared weights, on validation images, 0..1."""
    supernet_loss: float
    """Mean cross-entropy with shared weights, in nats."""
    supernet_refit: float
    """Accuracy with shared weights and a classifier refitted for this network, 0..1."""
    seconds: float
    """CPU seconds of proxies and supernet evaluation, without supernet training."""
    tool: str
    date: str

    @property
    def identity(self) -> tuple[object, ...]:
        """Values that no two rows of a table share."""
        return (self.key,)


@dataclass(frozen=True)
class Brief:
    """Short training of a network of CIFAR-10, with its features. Read by ``read``.

    Raises ValueError unless the accuracy is 0..1.
    """

    key: str
    kind: str
    """Where the network is from: front (of some capacity), random, search (one by accuracy) or
    believed (most worth training after the rows before)."""
    log2_weights: float
    log2_macs: float
    layers: float
    mean_weight_bits: float
    least_weight_bits: float
    mean_activation_bits: float
    least_input_bits: float
    log2_least_channels: float
    sums: float
    log2_classifier_inputs: float
    short_accumulator_bits: float
    validation: float
    """Accuracy on the validation images."""
    validation_images: int
    epochs: int
    train_images: int
    seconds: float
    """Wall-clock seconds of the training, on one thread beside another one."""
    tool: str
    date: str
    network: str
    genes: str
    """As of Training; in the space ``photos`` of that date."""

    def __post_init__(self) -> None:
        if not 0 <= self.validation <= 1:
            raise ValueError("accuracies must be 0..1")

    @property
    def identity(self) -> tuple[object, ...]:
        """Values that no two rows of a table share."""
        return self.key, self.epochs


Row = TypeVar("Row", Training, Description, Brief)


def columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns of a table, in order: the fields of its rows, of class ``kind``."""
    return tuple(field.name for field in dataclasses.fields(kind))


def read(path: Path, kind: type[Row]) -> list[Row]:
    """Return the rows of the table ``path``, in its order. ``kind`` is the class of a row.

    Raises UserError that names the file and, unless it cannot be read, the first wrong line.
    """
    with told_as(UserError):
        lines = read_csv(path)
    found, wanted = tuple(lines[0]) if lines else (), columns(kind)
    if found != wanted:
        raise UserError(f"{path}:1: {wrong_columns(found, wanted)}")
    rows: dict[tuple[object, ...], Row] = {}
    for number, cells in enumerate(lines[1:], start=2):
        row = _row(f"{path}:{number}", kind, cells)
        if row.identity in rows:
            raise UserError(f"{path}:{number}: the row of {row.identity} is in the file twice")
        rows[row.identity] = row
    return list(rows.values())


def _row(where: str, kind: type[Row], cells: Sequence[str]) -> Row:
    types = typing.get_type_hints(kind)
    names = columns(kind)
    if len(cells) != len(names):
        raise UserError(f"{where}: {len(cells)} cells, not {len(names)}")
    values: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            values[name] = types[name](cell)
        except ValueError:
            raise UserError(f"{where}: {name}: not a number: {cell!r}") from None
        if types[name] is float and not math.isfinite(values[name]):
            raise UserError(f"{where}: {name} must be finite, not {cell}")
    try:
        return kind(**values)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def write(path: Path, kind: type[Row], rows: Iterable[Row]) -> None:
    """Write ``rows`` of class ``kind`` to ``path`` in their order, replacing it atomically.

    Raises OSError.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns(kind))
    writer.writerows(dataclasses.astuple(row) for row in rows)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())
