"""Replacing a search by another one in its folder: only files that the search wrote are removed.

Only files that a search writes, and nobody else has changed, are ever removed: names in NAMES,
weights and checkpoints in training/ by the form of their names, and of build folders what their
manifests list. Everything else that lies between them stays at its path.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from codesign.build import manifest
from codesign.results import UserError
from models.files.folders import kept_path
from models.files.reading import FileError
from models.files.writing import inside

SETTINGS, TRIALS, FRONT, SUMMARY = "explore.json", "trials.journal", "front.json", "summary.json"
TABLE = "trials.csv"
"""All finished trials for people and spreadsheets, wherever the trials are stored."""
STANDINGS = "standings.jsonl"
"""What the last run had reached after each training, one JSON object a line."""
BUILD, TRAINING, SHORT = "build", "training", "training/short"
NAMES = (SETTINGS, SUMMARY, FRONT, TRIALS, TABLE, STANDINGS, TRAINING, BUILD)
"""Files and folders at the top of a search's folder, in the order in which they are moved."""
_TRAINED = re.compile(r"[A-Za-z0-9-]+-[0-9a-f]{12}\.(weights|checkpoint|json)")
_SHORT_TRAINED = re.compile(r"[0-9a-f]{12}\.weights")


def remove(out: Path, names: Sequence[str] = NAMES) -> None:
    """Remove the files of the search in ``out``, explore.json first: then it no longer counts.

    names: those of NAMES to look at. Files of build folders that were changed since get the end
    KEPT; what is not the search's stays. A call that was cut short is completed by another. Raises
    OSError.
    """
    for name in names:
        if name == BUILD:
            for build in _entries(out / BUILD):
                _remove_build(build)
        elif name == TRAINING:
            for folder, form in ((TRAINING, _TRAINED), (SHORT, _SHORT_TRAINED)):
                for path in _entries(out / folder):
                    if form.fullmatch(path.name) and not is_folder(path):
                        path.unlink()
        elif not is_folder(out / name):
            (out / name).unlink(missing_ok=True)
        _remove_empty(out / name)


def merge(source: Path, target: Path) -> None:
    """Move everything in folder ``source``, which then is gone, to folder ``target``.

    A file whose name is taken there gets the end KEPT. A call that was cut short is completed by
    another. Raises OSError.
    """
    target.mkdir(parents=True, exist_ok=True)
    for path in _entries(source):
        to = target / path.name
        if is_folder(path) and is_folder(to):
            merge(path, to)
        else:
            path.rename(kept_path(to) if os.path.lexists(to) else to)
    source.rmdir()


def is_folder(path: Path) -> bool:
    """Return True for a folder, False for a link to one."""
    return path.is_dir() and not path.is_symlink()


def _remove_build(build: Path) -> None:
    with contextlib.suppress(UserError):  # it is no build folder, or too large to check
        if not is_folder(build) or not manifest.is_build(build):
            return
        earlier = manifest.earlier(build)
        for path in earlier.changed:
            with contextlib.suppress(FileError):
                changed = inside(build, path)
                if changed.exists():
                    changed.rename(kept_path(changed))
        # The manifest last: it is needed to complete a removal that was cut short.
        for path in sorted(earlier.written, key=lambda path: path == manifest.MANIFEST):
            (build / path).unlink()


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if is_folder(folder) else []


def _remove_empty(folder: Path) -> None:
    """Remove a folder, and those below it, as far as they hold no files."""
    for where, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            Path(where).rmdir()
