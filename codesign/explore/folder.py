"""The output folder of a search: created, resumed or replaced; foreign folders are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.explore.settings import FORMAT, OLD_FORMAT, ExploreSettings
from codesign.results import OLD_OPTIONS, UserError
from models.files import atomic_file

SETTINGS, TRIALS, FRONT, SUMMARY = "explore.json", "trials.journal", "front.json", "summary.json"
BUILD, TRAINING = "build", "training"


def open_folder(
    settings: ExploreSettings, wanted: dict[str, Any], warn: Callable[[str], None]
) -> dict[str, Any]:
    """Create ``settings.out``, keep it to resume its search, or clear it for a new one.

    wanted: the content of explore.json (``ExploreSettings.identity``: what decides the search's
    result), which is written for a new search. Clearing removes the files and folders that an
    earlier search wrote. warn is called when there is no search to resume and when one is replaced.

    Returns the content of explore.json as it is in the folder: equal to ``wanted``, but with the
    option names of release 0.1 if that started the search. Raises UserError when the folder holds
    anything else, or a search of other settings to resume; OSError when it cannot be written.
    """
    out, marker = settings.out, settings.out / SETTINGS
    stored = _stored_identity(out)
    if settings.resume and stored is not None:
        named = _with_new_names(stored)
        if named != wanted:
            changed = sorted(k for k in {*named, *wanted} if named.get(k) != wanted.get(k))
            raise UserError(
                f"{out} holds a search with other {', '.join(changed)}; "
                "start without --resume, or with another --out"
            )
        return stored
    if settings.resume:
        warn(f"{out} holds no search to resume: this one starts from the beginning")
    if stored is not None:
        warn(f"{out} held a search, which this one replaces; --resume would have gone on with it")
        for name in (SUMMARY, FRONT, TRIALS):
            (out / name).unlink(missing_ok=True)
        for name in (TRAINING, BUILD):
            shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    write_json(marker, wanted)
    return wanted


def _stored_identity(out: Path) -> dict[str, Any] | None:
    """Return the identity (content of explore.json) of the search in ``out``; None if it is empty.

    None, too, if ``out`` is absent. Option names may be those of release 0.1. Raises UserError when
    ``out`` holds anything else.
    """
    foreign = UserError(f"{out} holds something else than a search; choose another --out")
    if not out.exists():
        return None
    if not out.is_dir():
        raise foreign
    # A run killed in its first moment leaves only the temporary file of explore.json.
    if all(path.name.startswith(f".{SETTINGS}.") for path in out.iterdir()):
        return None
    try:
        stored = json.loads((out / SETTINGS).read_text())
    except (OSError, ValueError):
        raise foreign from None
    if not isinstance(stored, dict) or stored.get("format") not in (FORMAT, OLD_FORMAT):
        raise foreign
    return stored


def _with_new_names(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an explore.json with the current format mark and option names."""
    if stored["format"] == FORMAT:
        return stored
    named = {OLD_OPTIONS.get(name, name): value for name, value in stored.items()}
    return {**named, "format": FORMAT}


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically. Raises OSError."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
