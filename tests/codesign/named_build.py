"""The small build with class names and an input range of its own, and data for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.build import build_folder, manifest
from codesign.design import DatasetSpec
from models.data.values import InputRange
from models.integer import reference
from tests.codesign import small_build

NAMES = ("ant", "bee", "cat", "dog", "eel")
RANGE = InputRange.of(-1, 1)
OWN = "own.npz"
"""Data set of the design, in the folder that holds the build folder."""


def write(folder: Path) -> Path:
    """Write the build folder to ``folder``/build, and its data set beside it."""
    design, compiled, vectors = small_build.parts()
    values, labels = examples(120, seed=1)
    np.savez(folder / OWN, x=values, y=labels)
    design = dataclasses.replace(design, dataset=DatasetSpec(OWN), input=RANGE)
    reports = {"accuracy": {"classes": list(NAMES)}}
    return build_folder.build(design, compiled, vectors, folder / "build", reports=reports)


def examples(
    count: int, seed: int, names: tuple[str, ...] = NAMES
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Return values (count, 6, 6) in 0..1, half the network's input range, and class names."""
    rng = np.random.default_rng(seed)
    values = rng.random((count, 6, 6), dtype=np.float32)
    return values, np.array([names[index % len(names)] for index in range(count)])


def logits(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the reference's logits of values (n, 6, 6)."""
    network = small_build.parts()[1].integer
    levels = np.floor((values.astype(np.float64)[:, None] + 1) * 127.5 + 0.5).astype(np.uint8)
    return reference.predict(network, levels)


def as_older_version(build: Path) -> None:
    """Take from a build folder what older versions did not write."""
    (build / build_folder.NETWORK).unlink()
    listed = json.loads((build / manifest.MANIFEST).read_text())
    del listed["sha256"][build_folder.NETWORK]
    (build / manifest.MANIFEST).write_text(json.dumps(listed))
    program = json.loads((build / "program.json").read_text())
    del program["classes"], program["input_range"]
    (build / "program.json").write_text(json.dumps(program))
