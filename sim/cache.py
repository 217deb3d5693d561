"""Location of the per-user caches, such as compiled simulators."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """Return the user's cache folder for ``kind``, creating it if it is missing.

    It is the subfolder ``kind`` of ``$CODESIGN_CACHE``, if unset or empty of
    ``$XDG_CACHE_HOME/codesign``, if that is unset or empty too of ``~/.cache/codesign``. Everything
    in it can be deleted at any time. Raises OSError when it cannot be created, RuntimeError when
    the user has no home folder and it is needed.
    """
    chosen = os.environ.get("CODESIGN_CACHE")
    if chosen:
        base = Path(chosen)
    else:
        home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        base = Path(home) / "codesign"
    folder = base / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder
