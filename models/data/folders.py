"""Parts and classes of pictures by their folders: image folders and zips as people have them.

``train/<class>/...`` with ``val/`` and ``test/`` beside it, under their usual names in any case, or
``<class>/...`` alone; folders around everything are looked through, folders inside a class belong
to it. Hidden files and the folders of operating systems are left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.data.pictures import SUFFIXES
from models.data.raw import TEST, TRAIN, VALIDATION
from models.errors import DatasetError
from models.files.reading import printable

PART_NAMES = {
    TRAIN: ("train", "training", "trainset", "train_set"),
    VALIDATION: ("val", "valid", "validation", "dev"),
    TEST: ("test", "testing", "testset", "test_set"),
}
_LIKE_PARTS = frozenset(itertools.chain(*PART_NAMES.values(), ("eval", "evaluation")))
"""Words in names such as ``train_images`` of folders that may well be parts."""
_PARTS = {name: part for part, names in PART_NAMES.items() for name in names}
_SYSTEM = {"__macosx", "@eadir", "$recycle.bin", "system volume information", "__pycache__"}
EXPECTED = "expected train/<class>/*, val/<class>/* and test/<class>/*, or <class>/* alone"


@dataclass(frozen=True)
class Entry:
    """One picture file: its part (TRAIN, ...), its class folder's name, its path as given.

    Made by ``entries``.
    """

    part: str
    label: str
    name: str


def entries(where: str, names: Sequence[str]) -> tuple[list[Entry], list[str]]:
    """Return the pictures among ``names`` and notes on what is left out.

    names: paths with slashes, relative to the data set's folder or zip; those that end in a slash
    are folders. The pictures are sorted by part, class and path. where: what messages name. Without
    folders named as parts, all is training. Raises DatasetError when there are no pictures, they
    lie in no class folders, or in parts that are not clear (two folders of one part, parts beside
    other folders or within classes, folders such as ``train_images``, no training part).
    """
    kept, hidden, others = _pictures(names)
    if not kept:
        raise DatasetError(f"{where}: holds no images; {EXPECTED}")
    trails = _without_common_folder([PurePosixPath(name).parts for name in kept])
    notes = [f"{hidden} hidden or system files are left out"] if hidden else []
    notes += _without_pictures(names, kept)
    if others:
        notes.append(f"{others} files that are no pictures are left out")
    first = {trail[0] for trail in trails if len(trail) > 1}
    parts = {name for name in first if name.casefold() in _PARTS}
    if parts and parts != first:
        raise DatasetError(
            f"{where}: {', '.join(sorted(parts))} and {', '.join(sorted(first - parts)[:3])} lie "
            f"side by side: parts must be named {_known()}, and hold the classes"
        )
    known = {_PARTS[name.casefold()] for name in parts}
    if len(known) < len(parts):
        raise DatasetError(f"{where}: two folders of one part: {', '.join(sorted(parts))}")
    if parts and TRAIN not in known:
        raise DatasetError(f"{where}: has {', '.join(sorted(parts))} but no train/<class> folders")
    if not parts:
        _check_no_parts_hide(where, trails)
    found = [
        _entry(where, trail, name, bool(parts)) for trail, name in zip(trails, kept, strict=True)
    ]
    return sorted(found, key=lambda entry: (entry.part, entry.label, entry.name)), notes


def _check_no_parts_hide(where: str, trails: Sequence[tuple[str, ...]]) -> None:
    """Raise DatasetError for ``cat/train/...``, and for folders such as ``train_data/cat/...``.

    trails: paths (parts of a path, the file's name last) whose first folder is no known part's.
    Without an error the parts of a user would be pooled, and split anew.
    """
    if any(len(trail) < 3 for trail in trails):
        return
    inner = {trail[1].casefold() for trail in trails}
    if inner <= _PARTS.keys() and TRAIN in map(_PARTS.get, inner):
        first, second = trails[0][:2]
        raise DatasetError(
            f"{where}: parts lie within the classes ({first}/{second}): they must be around them "
            f"({second}/{first})"
        )
    outer = sorted({trail[0] for trail in trails})
    words = [set(re.split(r"[\W\d_]+", name.casefold())) for name in outer]
    if all(not _LIKE_PARTS.isdisjoint(each) for each in words):
        raise DatasetError(
            f"{where}: {', '.join(outer[:3])} seem to be parts: name them {_known()}"
        )


def _without_pictures(names: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Return at most one note: on folders (names that end in a slash) without any of ``kept``."""
    holding = {str(folder) for name in kept for folder in PurePosixPath(name).parents}
    bare = sorted(
        name.rstrip("/")
        for name in names
        if name.endswith("/") and not is_hidden(name) and str(PurePosixPath(name)) not in holding
    )
    more = f" and {len(bare) - 3} more" if len(bare) > 3 else ""
    said = ", ".join(map(printable, bare[:3]))
    return [f"folders without pictures are left out: {said}{more}"] if bare else []


def is_hidden(name: str) -> bool:
    """Return whether a path with slashes is, or lies in, what is hidden or an operating system's.

    >>> is_hidden("cat/.thumbs/1.png"), is_hidden("__MACOSX/"), is_hidden("cat/1.png")
    (True, True, False)
    """
    folders = PurePosixPath(name).parts
    return any(part.startswith(".") or part.casefold() in _SYSTEM for part in folders)


def _known() -> str:
    return "; ".join("/".join(names) for names in PART_NAMES.values())


def _pictures(names: Iterable[str]) -> tuple[list[str], int, int]:
    """Return (paths of pictures, number of hidden or system files, number of other files).

    Folders (names that end in a slash), thumbs.db and desktop.ini are in none of the three.
    """
    kept: list[str] = []
    hidden = others = 0
    for name in names:
        path = PurePosixPath(name)
        if name.endswith("/"):
            continue
        if is_hidden(name):
            hidden += 1
        elif path.suffix.casefold() in SUFFIXES:
            kept.append(name)
        elif path.name.casefold() not in ("thumbs.db", "desktop.ini"):
            others += 1
    return kept, hidden, others


def _without_common_folder(trails: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return paths (parts of a path, the file's name last) without leading folders that all share.

    It stops at a folder with a part's name, and leaves at least one folder before each file.
    """
    found = list(trails)
    while all(len(trail) > 2 for trail in found) and len({trail[0] for trail in found}) == 1:
        if found[0][0].casefold() in _PARTS:
            break
        found = [trail[1:] for trail in found]
    return found


def _entry(where: str, trail: tuple[str, ...], name: str, has_parts: bool) -> Entry:
    part = _PARTS[trail[0].casefold()] if has_parts and len(trail) > 1 else TRAIN
    folders = trail[1:-1] if has_parts else trail[:-1]
    if not folders:
        raise DatasetError(f"{where}: {name} lies in no class folder")
    return Entry(part, folders[0], name)
