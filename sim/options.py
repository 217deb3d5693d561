"""What a bench run is asked for: passed from the host to the simulator process as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "CODESIGN_BENCH"
"""Environment variable that names the JSON file with the Options."""


@dataclass(frozen=True)
class Options:
    """One simulator process."""

    build: str
    """The build folder."""
    result: str
    """File to which one JSON line per finished test is appended."""
    first: int = 0
    images: int = 1
    """Images first .. first + images - 1 of vectors/."""
    seed: int = 0
    stalls: float = 0.0
    """Share of cycles in which each channel of each bus is held back, 0 .. 0.9."""
    traced: bool = False
    """Run the program that stores every layer's output."""

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(dataclasses.asdict(self)))


def load(path: Path) -> Options:
    """Options that ``save`` wrote."""
    return Options(**json.loads(path.read_text()))
