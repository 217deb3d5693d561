"""External tools in their own processes, and a per-user cache of their results.

A tool that crashes or hangs costs one result, not this process.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.files import temporary
from models.files.reading import parse_json
from sim import cache
from sim.cache import CacheError
from sim.process import check_space, execute

_UNFIT = "'\";"
"""Characters that no path may have in which ABC works for Yosys: it reads them in its scripts."""


class ToolError(Exception):
    """An external tool failed, crashed or timed out, or its result is not as expected.

    After a failed run the message ends with its last log lines.
    """


@dataclass(frozen=True)
class ToolRun:
    """Output of one run of a tool. Made by ``run``."""

    log: str
    """Text that the tool wrote to stdout and stderr, merged."""
    result: str
    """Text of the result file that it wrote."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Distinct lines of the log that start with ``Warning:``, in order."""
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

    version: name and version of the tool, for messages. Returns the log and the text of ``result``,
    a file that the command must write. Raises ``error``, whose message starts with ``version``,
    when the command fails, takes more than ``timeout_s`` seconds or writes no such file, or half of
    one of JSON; OSError when the disk is full.
    """
    place = temporary.place_without(_UNFIT)
    if place is None:
        raise error(
            f"{version} needs a writable folder for temporary files without {_UNFIT} in its path"
        )
    with temporary.folder("tool", place) as folder:
        for file, text in inputs.items():
            (folder / file).write_text(text)
        done = execute(command, folder, os.environ, timeout_s)
        output = folder / result
        text = output.read_text() if output.exists() else ""
        failure = done.failure
        if failure is None and not _is_whole(result, text):
            check_space(folder, done.log)  # Yosys ends with status 0 there
            failure = f"wrote no {result}, or not all of it"
        if failure is not None:
            raise error(f"{version} {failure}; its log ends:\n{done.tail()}")
        return ToolRun(done.log, text)


def _is_whole(name: str, text: str) -> bool:
    """Return True for a file that is not empty and, if its name says JSON, whole."""
    if not name.endswith(".json"):
        return bool(text)
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def content_hash(content: object) -> str:
    """Return the SHA-256 (hexadecimal) of a JSON value: the cache key of what depends on it alone.

    The order of a mapping's keys does not matter.
    """
    return cache.key_of(content)


def cached(kind: str, key: str) -> Any:
    """Return the JSON value kept under ``kind`` and ``key``, or None if there is none to read.

    kind: of the entries of the user's cache (sim.cache), whose folder is created if it is missing.
    Raises CacheError if the cache is not this user's alone.
    """
    try:
        found = cache.read(kind, key)
        return None if found is None else parse_json(found.decode())
    except CacheError:
        raise
    except (OSError, RuntimeError, ValueError):
        return None


def keep(kind: str, key: str, value: object) -> None:
    """Store a JSON value in the user's cache, for ``cached`` with the same ``kind`` and ``key``.

    A failure to write (a full disk) is ignored. Raises CacheError as ``cached``.
    """
    with contextlib.suppress(OSError, RuntimeError):
        cache.write(kind, key, json.dumps(value, sort_keys=True).encode())
