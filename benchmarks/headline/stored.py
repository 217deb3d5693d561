"""The folder of a design of the front: design file, trained integers, training log, commands."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from benchmarks.headline.index import DESIGN, FOLDER, Entry
from codesign import design as designs
from codesign.build.build_folder import NETWORK
from codesign.design import Design
from models.files import folders
from models.files.folders import Earlier
from models.files.reading import max_memory, read_bytes
from models.files.writing import npz_bytes
from models.integer import files
from models.integer.network import IntegerNetwork

README = "README.md"


@dataclass(frozen=True, eq=False)
class Stored:
    """A trained design: the network's shapes and bits, the NPU, and the integers. Made by ``load``.

    ``sha256`` is that of the file of integers.
    """

    design: Design
    network: IntegerNetwork
    sha256: str


def load(root: Path, entry: Entry) -> Stored:
    """Read the design of an entry and its network from the checkout ``root``.

    Raises YamlError for the design file, FileError and ModelError for the network's.
    """
    path = root / entry.design
    design = designs.load(path)
    return Stored(design, files.load(path.with_name(NETWORK)), digest(root, entry))


def digest(root: Path, entry: Entry) -> str:
    """Return the SHA-256 of the file of integers of an entry. Raises FileError."""
    data = read_bytes((root / entry.design).with_name(NETWORK), max_memory())
    return hashlib.sha256(data).hexdigest()


def renamed(design: Design, network: IntegerNetwork, name: str) -> tuple[dict[str, bytes], Stored]:
    """Return the files of a design under another name, and the design as ``load`` reads them.

    Of the path of the data set the last part is kept. Raises UserError for a bad name.
    """
    data = dataclasses.replace(design.dataset, name=Path(design.dataset.name).name)
    design = dataclasses.replace(design, name=name, dataset=data, folder=None)
    network = dataclasses.replace(network, name=name)
    content = npz_bytes(files.contents(network))
    written = {DESIGN: design.to_yaml().encode(), NETWORK: content}
    return written, Stored(design, network, hashlib.sha256(content).hexdigest())


def write(root: Path, name: str, written: dict[str, bytes]) -> None:
    """Write the folder of a design, all of it or nothing, in place of one before. Raises OSError.

    written: content of each file by name.
    """
    out = root / FOLDER / name
    earlier = frozenset(path.name for path in out.iterdir()) if out.is_dir() else frozenset()
    folders.write(written, out, Earlier(written=earlier))


def readme(entry: Entry) -> str:
    """Return the README of a design's folder: what is in it, how it was made and is checked."""
    commands = "\n".join(entry.commands)
    check = f"make headline-verify DATA=path/to/cifar10.zip DESIGN={entry.name}"
    return (
        f"# {entry.name}\n\n"
        f"`{DESIGN}` is the design, `{NETWORK}` its trained integers, the log what training said.\n"
        "Figures: [the index](../index.json) and [docs/measurements/cifar10.md]"
        "(../../../docs/measurements/cifar10.md).\n\n"
        f"Made by\n\n```sh\n{commands}\n```\n\nChecked by\n\n```sh\n{check}\n```\n"
    )
