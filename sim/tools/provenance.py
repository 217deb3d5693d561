"""Comparison of a build folder's Verilog with its manifest, for a line before it is compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from sim.files import forms, reading

MANIFEST = "manifest.json"
_SHOWN = 3
"""Most file names in the line."""


def described(build: Path, verilog: Mapping[str, str], tools: str) -> str:
    """Return a sentence: which Verilog is compiled by which ``tools``, and how it differs.

    verilog: text of rtl/ by file name. It is compared with the folder's manifest, in which a name
    may be missing, have another SHA-256, or have no file. Whoever made the folder made its
    manifest, too, so this tells of changes since, and not whose it is.
    """
    start = f"{tools} will compile the {len(verilog)} Verilog files of the folder"
    path = build / MANIFEST
    try:
        manifest = reading.read_json(path)
        forms.conform(manifest, {"sha256": {str: str}}, str(path))
    except reading.FileError:
        return f"{start}, without a {MANIFEST} to compare them with"
    listed = {
        name.removeprefix("rtl/"): digest
        for name, digest in manifest["sha256"].items()
        if name.startswith("rtl/")
    }
    digests = {name: _sha256(text) for name, text in verilog.items()}
    common = listed.keys() & digests.keys()
    differences = [
        f"{what}: {_list(names)}"
        for what, names in (
            ("changed", [name for name in common if listed[name] != digests[name]]),
            ("not in it", digests.keys() - common),
            ("missing", listed.keys() - common),
        )
        if names
    ]
    if differences:
        return f"{start}, which are not as {MANIFEST} lists them ({'; '.join(differences)})"
    return f"{start}, as {MANIFEST} lists them"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _list(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(map(reading.printable, shown[:_SHOWN])) + more
