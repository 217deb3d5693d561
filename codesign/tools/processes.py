"""Running a tool on files in a process of its own, so that its crash cannot be ours; and keeping
what it found."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.files import atomic_file
from sim.cache import cache_folder
from sim.process import execute


class ToolError(Exception):
    """A tool failed, crashed or ran out of time; the message ends with its last lines."""


@dataclass(frozen=True)
class ToolRun:
    """What one run left behind."""

    log: str
    result: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """The distinct warning lines of the log, in order."""
        lines = (line.strip() for line in self.log.splitlines())
        return tuple(dict.fromkeys(line for line in lines if line.startswith("Warning:")))


def run(
    command: Sequence[str],
    version: str,
    inputs: Mapping[str, str],
    result: str,
    timeout_s: float,
    error: type[ToolError] = ToolError,
) -> ToolRun:
    """Run ``command`` in a temporary folder that holds the ``inputs`` (file name -> text).

    Returns the log and the file ``result`` that it wrote. Raises ``error``, which names
    ``version``.
    """
    with tempfile.TemporaryDirectory(prefix="codesign-tool-") as name:
        folder = Path(name)
        for file, text in inputs.items():
            (folder / file).write_text(text)
        # A tool leaves temporary files of its own behind when it fails: they go with the folder.
        done = execute(command, folder, {**os.environ, "TMPDIR": name}, timeout_s)
        output = folder / result
        failure = done.failure
        if failure is None and not output.exists():
            failure = f"wrote no {result}"
        if failure is not None:
            raise error(f"{version} {failure}; its log ends:\n{done.tail()}")
        return ToolRun(done.log, output.read_text())


def content_hash(content: object) -> str:
    """Key of a result in the cache: SHA-256 of all that it depends on."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def cached(kind: str, key: str) -> Any:
    """The stored JSON value, or None; a cache that cannot be read is no cache."""
    try:
        return json.loads((cache_folder(kind) / f"{key}.json").read_text())
    except (OSError, ValueError):
        return None


def keep(kind: str, key: str, value: object) -> None:
    """Store a JSON value; a full disk costs the cache, not the result."""
    try:
        with atomic_file(cache_folder(kind) / f"{key}.json") as file:
            file.write(json.dumps(value, sort_keys=True).encode())
    except OSError:
        return
