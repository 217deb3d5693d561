"""What a reader of files is for the fuzzer, and the common kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.codesign import small_build


@dataclass(frozen=True)
class Reader:
    """A reader of files in a folder. ``prepare`` fills the folder and returns what to damage."""

    prepare: Callable[[Path], dict[str, bytes]]
    read: Callable[[Path], Any]


def one(name: str, data: bytes, read: Callable[[Path], Any]) -> Reader:
    """A reader of one file."""

    def prepare(folder: Path) -> dict[str, bytes]:
        (folder / name).write_bytes(data)
        return {name: data}

    return Reader(prepare, lambda folder: read(folder / name))


def of_build(names: tuple[str, ...], read: Callable[[Path], Any]) -> Reader:
    """A reader of some files of a build folder."""

    def prepare(folder: Path) -> dict[str, bytes]:
        small_build.write(folder / "build")
        reports = {
            "estimate": {"luts": 5.0, "intervals": {"luts": [4.0, 6.0]}, "notes": ["a"]},
            "synthesis": {
                "figures": {"luts": 5.0}, "tool_version": "a", "family": "xc7", "seconds": 1.0,
            },
            "verification": {
                "images": 4, "bit_exact": True, "failure": None, "simulator": {"name": "a"},
                "layers": [{"opcode": "LAYER", "simulated": 9}],
            },
            "accuracy": {"test": 0.5, "validation": 0.5, "scores": {"test": {"images": 9}}},
        }  # fmt: skip
        (folder / "build" / "reports").mkdir(exist_ok=True)
        for name, content in reports.items():
            (folder / "build" / "reports" / f"{name}.json").write_text(json.dumps(content))
        return {f"build/{name}": (folder / "build" / name).read_bytes() for name in names}

    return Reader(prepare, lambda folder: read(folder / "build"))
