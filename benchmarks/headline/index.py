"""The index of the front: what is claimed of each design, in ``examples/cifar10/index.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.files import json_io
from models.files.nodes import build

FOLDER = Path("examples", "cifar10")
"""Folder of all designs, below the root of the checkout."""
INDEX, DESIGN = "index.json", "design.yaml"
FIGURES = (
    "luts", "brams", "dsps", "cycles_per_image", "images_per_second", "test_accuracy", "fmax_mhz",
    "network_sha256",
)  # fmt: skip
"""Fields of an Entry that are recomputed."""
Value = int | float | str | None


@dataclass(frozen=True)
class Entry:
    """What is claimed of one design: an object of the index.

    >>> Entry(
    ...     "examples/cifar10/a/design.yaml", 9000, 30, 0, 8000, 12500.0, 0.85, None, "", 1, ("",)
    ... ).name
    'a'
    """

    design: str
    """Path of the design file from the root of the checkout."""
    luts: int
    """LUTs of the whole NPU, by Yosys for AMD 7 series."""
    brams: float
    """36 Kb block RAMs."""
    dsps: int
    cycles_per_image: int
    """Clock cycles from one image to the next, simulated back to back."""
    images_per_second: float
    """The design's clock (100 MHz) over ``cycles_per_image``."""
    test_accuracy: float
    """Of the integer network on all test images, 0..1."""
    fmax_mhz: float | None
    """Highest clock by nextpnr on an ECP5-85k of the slowest speed grade; None: it does not fit,
    or was not placed."""
    network_sha256: str
    """SHA-256 (hexadecimal) of the file of trained integers that the figures are of."""
    test_evaluations: int
    """Networks whose test accuracy was looked at before this one was put in, itself included."""
    commands: tuple[str, ...]
    """Commands that made it."""

    @property
    def name(self) -> str:
        """Name of the design's folder."""
        return Path(self.design).parent.name


def read(root: Path) -> list[Entry]:
    """Return the entries of the checkout ``root``, in order. Raises YamlError."""
    return [build(item, Entry) for item in json_io.load(root / FOLDER / INDEX).items()]


def write(root: Path, entries: Sequence[Entry]) -> None:
    """Write the index of a checkout, sorted by design; whole or not at all. Raises OSError."""
    ordered = sorted(entries, key=lambda entry: entry.design)
    json_io.write(root / FOLDER / INDEX, [to_dict(entry) for entry in ordered])


def to_dict(entry: Entry) -> dict[str, object]:
    """Return the JSON form of an entry, its fields in order."""
    return {**dataclasses.asdict(entry), "commands": list(entry.commands)}


def differences(entry: Entry, found: Mapping[str, Value]) -> list[str]:
    """Return a sentence for each recomputed figure that is not exactly as the index says.

    found: figures by name, of FIGURES; what is missing is not compared.
    """
    return [
        f"{entry.name}: {name}: the index says {claimed!r}, recomputed {found[name]!r}"
        for name in FIGURES
        if name in found and (claimed := getattr(entry, name)) != found[name]
    ]
