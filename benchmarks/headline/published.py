"""Designs of others on CIFAR-10, as their authors publish them: ``data/cifar10_published.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.files import json_io
from models.files.nodes import build

_TABLE = Path(__file__).parents[1] / "data" / "cifar10_published.json"


@dataclass(frozen=True)
class Published:
    """A design of others; None: not published. Made by ``read``."""

    name: str
    accuracy: float
    """On the test images, 0..1."""
    images_per_second: float
    luts: int
    brams: float | None
    """36 Kb block RAMs."""
    dsps: int | None
    clock_mhz: float
    part: str
    rate: str
    """Where the rate comes from."""
    source: str


def read() -> list[Published]:
    """Return all of them, in the order of the file."""
    return [build(item, Published) for item in json_io.load(_TABLE).items()]
