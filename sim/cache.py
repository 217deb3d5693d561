"""Where caches live."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """The user's cache folder for ``kind`` (made if missing).

    ``$CODESIGN_CACHE``, else ``$XDG_CACHE_HOME/codesign``, else ``~/.cache/codesign``. Everything
    in it can be deleted at any time. Raises OSError when it cannot be made.
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
