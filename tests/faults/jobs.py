"""Commands that faults hit, at tiny settings, and what of their work is finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.build import manifest
from codesign.results import UserError
from tests.codesign import small_build
from tests.paths import EXAMPLE

SPACE = """\
network: {stages: [1], convs: [1], channels: [4, 8], kernels: [3], pooling: [max],
          residual: [false], head: [flatten], hidden: [0]}
bits: {input: [4], weights: [2, 4], activations: [2, 4]}
npu: {pixels: [1], lanes: [2, 4], column_words: [1], weight_digit_bits: [1, 2],
      post_units: [1], scale_bits: [8], multiplier: [lut]}
"""
OUT = "out"
"""What every command writes: a folder of its area, or a file in it."""
DATA = "data.csv"
USERS = "notes.txt"
"""A file of the user's own in a folder that a command replaces."""


@dataclass(frozen=True)
class Job:
    """A command. ``area`` is its folder, which holds ``out`` and nothing else of the command."""

    prepare: Callable[[Path], None]
    command: Callable[[Path], list[str]]
    finished: Callable[[Path], set[bytes]]
    """What must still be there after the fault and after the next run, such as trials."""
    damage: Callable[[Path], list[str]]
    """What is half done in the folder, which nothing may ever be."""


def _write_search(area: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (300, 8, 8), dtype=np.uint8)
    np.savez(area / "toy.npz", x=images, y=np.arange(300) % 3)
    (area / "space.yaml").write_text(SPACE)


def _search(area: Path) -> list[str]:
    command = ["explore", "--lut-budget", "20000", "--dataset", str(area / "toy.npz")]
    command += ["--space", str(area / "space.yaml"), "--networks", "3", "--jobs", "2"]
    command += ["--epochs", "2", "--images", "1", "--finish", "1", "--out", str(area / OUT)]
    return command + ["--resume"] * (area / OUT / "trials.journal").exists()


def _trials(area: Path) -> set[bytes]:
    journal = area / OUT / "trials.journal"
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    return {line for line in lines if line.startswith(b'{"op_code":4,') and line.endswith(b"}")}


def _write_build(area: Path) -> None:
    small_build.write(area / OUT)
    (area / OUT / USERS).write_text("mine")


def _users(area: Path) -> set[bytes]:
    path = area / OUT / USERS
    return {path.read_bytes()} if path.exists() else set()


def _build_damage(area: Path) -> list[str]:
    folder = area / OUT
    try:
        changed = manifest.changed_files(folder)
    except UserError as error:
        changed = [str(error)]
    for report in folder.glob("reports/*.json"):
        try:
            json.loads(report.read_text())
        except ValueError:
            changed.append(report.name)
    return [f"{name}: changed or half written" for name in changed]


def _rows(area: Path) -> set[bytes]:
    path = area / OUT / DATA
    return set(path.read_bytes().splitlines(True)[1:]) if path.exists() else set()


def _rows_damage(area: Path) -> list[str]:
    return [f"half a row: {row!r}" for row in _rows(area) if not row.endswith(b"\n")]


def _on_build(*command: str) -> Job:
    return Job(
        _write_build, lambda area: [command[0], str(area / OUT), *command[1:]], _users,
        _build_damage,
    )  # fmt: skip


JOBS = {
    "explore": Job(_write_search, _search, _trials, lambda area: []),
    "build": Job(
        _write_build,
        lambda area: ["build", str(EXAMPLE), "--epochs", "2", "--out", str(area / OUT)],
        _users,
        _build_damage,
    ),
    "verify": _on_build("verify", "--images", "1"),
    "synth": _on_build("synth", "--flatten"),
    "characterize": Job(
        lambda area: (area / OUT).mkdir(),
        lambda area: [
            *("characterize", "--count", "3", "--max-luts", "1500", "--jobs", "2"),
            *("--data", str(area / OUT / DATA)),
        ],
        _rows,
        _rows_damage,
    ),
}


def copy_cache(warm: Path, cache: Path) -> None:
    """Copy a cache but for the results of tools, so that these run."""
    cache.mkdir(mode=0o700)
    for folder in warm.iterdir():
        if folder.name not in ("simulators", "synth", "place"):
            shutil.copytree(folder, cache / folder.name)
