"""The sweep's file: one JSON line a finished case, so that a killed sweep goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from codesign.results import UserError
from tests.paths import ROOT

JUDGED = (
    "codesign/compiler/*.py", "models/*.py", "rtl_gen/**/*.py", "sim/*.py",
    "tests/codesign/*_networks.py", "tests/sweep/cases.py", "tests/sweep/domain.py",
    "tests/sweep/simulate.py",
)  # fmt: skip
"""What decides what a case is and whether it passes."""

Line = dict[str, Any]


def sources_hash() -> str:
    """SHA-256 of what is under test, 12 digits: results of other sources are not results."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in JUDGED for path in ROOT.glob(pattern)):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Record:
    """The file at ``path``, made with its first line. One process at a time may append."""

    def __init__(self, path: Path, sources: str) -> None:
        self.path, self.sources = path, sources

    def read(self) -> list[Line]:
        """The cases of these sources, the last one of each seed.

        A line that a kill cut short is not one. Raises UserError for a file of something else.
        """
        cases: dict[int, Line] = {}
        text = self.path.read_text() if self.path.exists() else ""
        for number, text_line in enumerate(text.splitlines(keepends=True), start=1):
            if not text_line.endswith("\n"):
                continue
            try:
                line = json.loads(text_line)
                if line["sources"] == self.sources:
                    cases[line["seed"]] = line
            except (ValueError, TypeError, KeyError):
                raise UserError(f"{self.path}:{number} is no line of a sweep") from None
        return [cases[seed] for seed in sorted(cases)]

    def append(self, line: Line) -> None:
        """Add a case; it is on disk when this returns. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            whole = file.tell() == 0 or self._byte(end - 1) == b"\n"
            if not whole:  # what a kill left of a line goes
                file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
            file.write(json.dumps({**line, "sources": self.sources}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _byte(self, position: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(position)
            return file.read(1)
