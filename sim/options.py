"""Options of one simulator process, which the host passes to it as a JSON file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CODESIGN_BENCH"
"""Environment variable that names the JSON file with the Options."""


@dataclass(frozen=True)
class Options:
    """Task of one simulator process. Written by ``Options.save``, read by ``load``."""

    build: str
    """Absolute path of the build folder."""
    result: str
    """File to which one JSON line per finished test is appended."""
    first: int = 0
    """Index, from 0 on, of the first image in vectors/."""
    images: int = 1
    """Number of images, from ``first`` on."""
    seed: int = 0
    """Seed of all random choices."""
    stalls: float = 0.0
    """Fraction of cycles in which each bus channel is held back, 0..0.9; rare long pauses are added
    unless it is 0."""
    traced: bool = False
    """True: inference runs the program that stores every layer's output; False: the normal one."""

    def save(self, path: Path) -> None:
        """Write the options to ``path`` as JSON, overwriting it."""
        path.write_text(json.dumps(dataclasses.asdict(self)))


def load(path: Path) -> Options:
    """Return the options that ``Options.save`` wrote to ``path``."""
    return Options(**json.loads(path.read_text()))
