"""The sweep's record: a file with one JSON line per finished case.

A killed sweep goes on from it. Results belong to the sources that they were made with.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from codesign.results import UserError
from tests.paths import ROOT

JUDGED = (
    "benchmarks/untrained.py", "codesign/compiler/**/*.py", "models/**/*.py", "rtl_gen/**/*.py",
    "sim/**/*.py", "tests/codesign/compiler/network_builder.py",
    "tests/codesign/compiler/random_networks.py", "tests/sweep/cases.py", "tests/sweep/domain.py",
    "tests/sweep/simulate.py",
)  # fmt: skip
"""Patterns of the files that decide what a case is and whether it passes."""

Line = dict[str, Any]
"""The result of a case as JSON (tests.sweep.simulate.run_seed)."""


def judged_files() -> list[Path]:
    return sorted(path for pattern in JUDGED for path in ROOT.glob(pattern))


def sources_hash() -> str:
    """Return the first 12 hexadecimal digits of the SHA-256 of ``judged_files``."""
    digest = hashlib.sha256()
    for path in judged_files():
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


class Record:
    """The file at ``path``, created by its first line; one process at a time may append."""

    def __init__(self, path: Path, sources: str) -> None:
        self.path, self.sources = path, sources

    def read(self) -> list[Line]:
        """Return the results made with these sources, by seed; of several the last.

        A last line that a kill cut short is ignored. Raises UserError for any other file.
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
        """Add a result and flush it to disk. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            whole = file.tell() == 0 or self._byte(end - 1) == b"\n"
            if not whole:  # remove what a kill left of a line
                file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
            file.write(json.dumps({**line, "sources": self.sources}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _byte(self, position: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(position)
            return file.read(1)
