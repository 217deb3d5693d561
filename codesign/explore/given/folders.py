"""The networks of a zoo: found in folders, read for the data set, and what is left out of them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codesign.build import pipeline
from codesign.build.floats.subjects import Subject
from codesign.explore.given import reading
from codesign.explore.given.hot_start import weights_sha256
from codesign.explore.settings import ExploreSettings
from codesign.results import UserError
from models.data.datasets import Dataset
from models.errors import DatasetError, ModelError
from models.files.reading import FileError, quoted


@dataclass(frozen=True)
class LeftOut:
    """A network, or what might be one, that is not searched.

    >>> LeftOut("zoo/net.onnx", "is no network folder").name
    'net.onnx'
    """

    path: str
    reason: str

    @property
    def name(self) -> str:
        """Name of the file or folder."""
        return Path(self.path).name


@dataclass(frozen=True, eq=False)
class Member:
    """A network of a zoo. Made by ``read_all``."""

    name: str
    """Name of its file or folder, in letters, digits, ``_`` and ``-``, that no other one has."""
    path: str
    given: Subject


def read_all(
    settings: ExploreSettings, progress: Callable[[int, int], None]
) -> tuple[list[Member], list[LeftOut]]:
    """Return the float networks of ``settings.zoo`` for the data set, and what is no such one.

    Each comes with the data set, which those that take the same values share. Of equal networks
    the first one counts. Raises UserError where no network is left, with all reasons; DatasetError
    for a data set that is not there.
    """
    pipeline.load_data(settings.data, settings.data_dir, settings.seed, progress)
    members: list[Member] = []
    left_out: list[LeftOut] = []
    datasets: list[Dataset] = []
    known: dict[str, str] = {}
    for path in _paths(settings):
        one = dataclasses.replace(settings, network=str(path), zoo=())
        try:
            given = reading.read(one, progress)
        except (UserError, ModelError, DatasetError, FileError) as error:
            why = str(error).removeprefix(str(path)).removeprefix(":").strip()
            left_out.append(LeftOut(str(path), why))
            continue
        digest = weights_sha256(given.network)
        if digest in known:
            left_out.append(LeftOut(str(path), f"is the same network as {known[digest]}"))
            continue
        known[digest] = str(path)
        dataset = next((d for d in datasets if _same(d, given.dataset)), given.dataset)
        if dataset is given.dataset:
            datasets.append(dataset)
        given = dataclasses.replace(given, dataset=dataset)
        name = _name(path, {member.name for member in members})
        members.append(Member(name, str(path), given))
    if not members:
        why = "".join(f"\n{one.path}: {one.reason}" for one in left_out)
        raise UserError(f"--zoo {', '.join(settings.zoo)}: no network can be searched{why}")
    return members, left_out


def _paths(settings: ExploreSettings) -> Iterator[Path]:
    """Yield what each folder of the zoo holds, by name, or the folder where it is a network itself.

    Hidden files are passed over, as is the folder of this search. Raises UserError for a folder
    that is not there.
    """
    for folder in map(Path, settings.zoo):
        if not folder.exists():
            raise UserError(f"--zoo {quoted(str(folder))}: there is no such folder")
        if reading.is_network(folder):
            yield folder
            continue
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and path.resolve() != settings.out.resolve():
                yield path


def _same(one: Dataset, other: Dataset) -> bool:
    """Return True for data sets of equal content whose values become the same input levels."""
    return (one.sha256, one.input_range) == (other.sha256, other.input_range)


def _name(path: Path, taken: set[str]) -> str:
    """Return the name of a network by its path, with a number behind it if it is taken."""
    text = path.resolve().name
    text = text.removesuffix(".weights")
    stem = re.sub("[^A-Za-z0-9_-]+", "-", text).strip("-") or "network"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    return name
