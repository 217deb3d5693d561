"""The output folder of a search: locked, created, resumed or replaced; foreign ones are refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.explore import replacing
from codesign.explore.replacing import BUILD, SETTINGS, SHORT, SUMMARY, TABLE, TRAINING, TRIALS
from codesign.explore.settings import FORMAT, OLD_FORMATS, ExploreSettings
from codesign.results import OLD_OPTIONS, UserError
from codesign.search.trials import is_empty
from codesign.tools import locks
from models.files import json_io
from models.files.folders import kept_path
from models.files.forms import conform
from models.files.reading import FileError, read_json, told_as
from models.files.writing import inside

LOCK = ".lock"
"""File in the output folder that the process of a search holds locked."""
REPLACED = ".replaced"
"""Subfolder that holds the search before this one until this one has its design."""


class SearchFolder(contextlib.ExitStack):
    """The output folder of one search, locked from the moment that it exists until the end.

    A search that is in the folder already stays whole until ``claim``. Made by ``explore``.
    """

    def __init__(self, out: Path, warn: Callable[[str], None]) -> None:
        """Refuse a folder that holds something else, or in which a search is running.

        A missing folder is not created; an existing one is locked, and a replacement in it that a
        kill interrupted is undone. warn is called, later, when there is no search to resume and
        when a search is replaced. Raises UserError.
        """
        super().__init__()
        self.out, self._warn = out, warn
        self._wanted: dict[str, Any] | None = None
        self._locked = False
        stored_identity(out)
        if out.is_dir():
            self._lock()

    def open(self, settings: ExploreSettings, wanted: dict[str, Any]) -> dict[str, Any]:
        """Create the folder for a new search, or find the search to resume or to replace.

        wanted: the search's identity (``ExploreSettings.identity``), written to explore.json: at
        once, or by ``claim`` where the folder holds trials of a search before.

        Returns the identity as the files in the folder have it: ``wanted``, but with the option
        names of release 0.1 if that started the search. Raises UserError when the folder holds a
        search of another identity to resume, or one that must not be replaced.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        self._lock()
        stored = stored_identity(self.out)
        if settings.resume and stored is not None:
            named = _with_new_names(stored)
            if named != wanted:
                changed = sorted(k for k in {*named, *wanted} if named.get(k) != wanted.get(k))
                raise UserError(
                    f"{self.out} holds a search with other {', '.join(changed)}; "
                    "start without --resume, or with another --out"
                )
            return stored
        if stored is not None and not settings.replace:
            raise UserError(
                f"{self.out} holds a search: --resume goes on with it, and only --out on the "
                "command line, beside --config, lets another one replace it"
            )
        if settings.resume:
            self._warn(f"{self.out} holds no search to resume: this one starts from the beginning")
        self._wanted = wanted
        if not _has_trials(self.out):
            self.claim()
        return wanted

    @property
    def claimed(self) -> bool:
        """True if the folder's files belong to this search, False while they are another's."""
        return self._wanted is None

    def claim(self) -> None:
        """Put this search in the place of the one before, if there is one. Raises OSError.

        That one stays in the subfolder REPLACED until ``finish``. If the process is killed in
        between, the next ``explore`` finds the old search or the new.
        """
        if self._wanted is None:
            return
        if _has_trials(self.out):
            self._warn(
                f"{self.out} held a search, which this one replaces; "
                "--resume would have gone on with it"
            )
        old = self.out / REPLACED
        if old.is_dir() and not _is_finished(self.out):
            replacing.remove(self.out)  # it began in the place of the finished one in REPLACED
        elif (self.out / SETTINGS).exists():
            _dissolve(self.out)
            old.mkdir()
            # explore.json goes first and comes back last: without it, the old search counts.
            for name in replacing.NAMES:
                with contextlib.suppress(FileNotFoundError):
                    (self.out / name).rename(old / name)
        json_io.write(self.out / SETTINGS, self._wanted)
        self._wanted = None
        if not _finished_trials(old):
            _dissolve(self.out)

    def finish(self) -> None:
        """Remove the search that this one has replaced, now that this one has its design."""
        with contextlib.suppress(OSError):  # the next search goes on with it
            _dissolve(self.out)

    def __exit__(self, *error: Any) -> bool | None:
        """Unlock the folder. An unfinished search without trials gives way to the one before."""
        old = self.out / REPLACED
        if self._locked and self.claimed and old.is_dir():
            if not _finished_trials(self.out):
                replacing.remove(self.out)
                _recover(self.out)
                self._warn(f"{self.out} holds the search before this one again")
            else:
                self._warn(f"the search before this one is kept in {old} until this one succeeds")
        return super().__exit__(*error)

    def _lock(self) -> None:
        """Lock the folder for this process and undo a replacement that a kill interrupted."""
        if not self._locked:
            with told_as(UserError):
                for name in (TRIALS, TRAINING, SHORT, BUILD, REPLACED):
                    inside(self.out, name)
            self.enter_context(locks.held(self.out / LOCK, f"a search is running in {self.out}"))
            self._locked = True
            _recover(self.out)


def _has_trials(out: Path) -> bool:
    """Return True if trials of the search in ``out`` are stored, in its journal or elsewhere."""
    return (out / TRIALS).exists() or (out / TABLE).exists()


def _finished_trials(out: Path) -> bool:
    """Return True if the search in ``out`` has finished trials, or a journal that may hold some."""
    return (out / TABLE).exists() or not is_empty(out / TRIALS)


def _is_finished(out: Path) -> bool:
    """Return True if the search in ``out`` has ended with a design."""
    try:
        return bool(read_json(out / SUMMARY)["status"] == 0)
    except (FileError, LookupError, TypeError):
        return False


def _recover(out: Path) -> None:
    """Make the folder whole after a kill while a search was put in place of another."""
    old = out / REPLACED
    if (out / SETTINGS).exists():
        if not (old / SETTINGS).exists():
            _dissolve(out)  # nothing was moved yet, or its removal was cut short
        return
    if not old.is_dir():
        return
    for path in sorted(old.iterdir(), key=lambda path: path.name == SETTINGS):
        back = out / path.name
        if path.name in replacing.NAMES:  # of the search that had begun in its place
            replacing.remove(out, [path.name])
        if replacing.is_folder(back) and replacing.is_folder(path):
            replacing.merge(back, path)  # what is not a search's
        path.rename(kept_path(back) if back.exists() else back)
    old.rmdir()


def _dissolve(out: Path) -> None:
    """Remove the search in REPLACED; what else lies there comes back to its place in ``out``."""
    old = out / REPLACED
    if old.is_dir():
        replacing.remove(old)
        replacing.merge(old, out)


def stored_identity(out: Path, option: str = "--out") -> dict[str, Any] | None:
    """Return the identity (content of explore.json) of the search in ``out``; None if it is empty.

    None, too, if ``out`` is absent. Option names may be those of earlier releases. Raises UserError
    when ``out`` holds anything else. option: that which says the folder, for the message.
    """
    foreign = UserError(f"{out} holds something else than a search; choose another {option}")
    if not out.exists():
        return None
    if not out.is_dir():
        raise foreign
    # A run killed in its first moment leaves its lock and the temporary file of explore.json.
    started = (f".{SETTINGS}.", LOCK)
    if all(path.name.startswith(started) for path in out.iterdir()):
        return None
    marker = out / SETTINGS
    if not marker.exists():
        marker = out / REPLACED / SETTINGS  # killed while the search in it was being replaced
    try:
        stored = read_json(marker)
    except FileError:
        raise foreign from None
    if not isinstance(stored, dict) or stored.get("format") not in (FORMAT, *OLD_FORMATS):
        raise foreign
    return stored


def _with_new_names(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the content of an explore.json with the current format mark and option names."""
    if stored["format"] == FORMAT:
        return stored
    named = {OLD_OPTIONS.get(name, name): value for name, value in stored.items()}
    return {**named, "format": FORMAT}


def short_weights(out: Path, key: str) -> Path:
    """Return the file of a network's weights after its short training; ``key``: network_key."""
    return out / SHORT / f"{key}.weights"


def read_stored(path: Path, form: Any) -> dict[str, Any]:
    """Return the content of a file that an earlier run left. Raises UserError if it is damaged."""
    with told_as(UserError):
        found: dict[str, Any] = read_json(path)
        conform(found, form, str(path))
    return found
