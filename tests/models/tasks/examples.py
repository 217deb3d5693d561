"""Small synthetic data sets of each task, and networks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models.data import datasets
from models.data.datasets import Dataset, ReadOptions
from models.graph.layers import Conv2d, Linear
from models.graph.network import NetworkGraph, sequential

CODER = sequential("coder", (12, 1, 1), Linear(4), Linear(12))
REGRESSION = sequential("line", (6, 1, 1), Linear(16, relu=True), Linear(2))
SEGMENTS = sequential(
    "segments", (1, 8, 8), Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True),
    Conv2d(3, (3, 3), padding=(1, 1)),
)  # fmt: skip
NETWORKS: dict[str, NetworkGraph] = {
    "reconstruction": CODER,
    "numbers": REGRESSION,
    "pixels": SEGMENTS,
}


def signals(count: int, seed: int, anomalous: float = 0.0) -> tuple[Any, Any]:
    """Mixtures of three patterns, some with values that belong together no more: these have 1."""
    rng = np.random.default_rng(seed)
    patterns = np.random.default_rng(0).normal(0, 1, (3, 12))
    x = rng.normal(0, 1, (count, 3)) @ patterns + rng.normal(0, 0.05, (count, 12))
    odd = rng.uniform(0, 1, count) < anomalous
    x[odd] = rng.permuted(x[odd], axis=0)
    return x, odd.astype(np.int64)


def curve(count: int, seed: int) -> tuple[Any, Any]:
    """Numbers of large means and alike spreads, of values of which some do not matter."""
    x = np.random.default_rng(seed).uniform(-1, 1, (count, 6))
    y = np.stack([2000 + 30 * (x[:, 0] - x[:, 1]), -50 + 40 * np.maximum(x[:, 2], 0)], axis=1)
    return x, y


def squares(count: int, seed: int) -> tuple[Any, Any]:
    """Grey images with a dark and a bright square, whose pixels are classes 1 and 2."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(128, 12, (count, 1, 8, 8)), np.zeros((count, 8, 8), np.int64)
    for image, labels in zip(x, y, strict=True):
        for number, level in ((1, 30), (2, 220)):
            row, column = rng.integers(0, 5, 2)
            image[0, row : row + 3, column : column + 3] = level
            labels[row : row + 3, column : column + 3] = number
    y[:, 0, 0] = 255
    return x.clip(0, 255).astype(np.uint8), y


def arrays(task: str) -> dict[str, Any]:
    """Return the arrays of an .npz file of a task."""
    make: dict[str, Any] = {
        "reconstruction": lambda n, seed, odd: signals(n, seed, odd),
        "numbers": lambda n, seed, odd: curve(n, seed),
        "pixels": lambda n, seed, odd: squares(n, seed),
    }
    found = {}
    for part, count, seed, odd in (("", 400, 1, 0), ("_val", 120, 2, 0.3), ("_test", 150, 3, 0.3)):
        found[f"x{part}"], found[f"y{part}"] = make[task](count, seed, odd)
    return found


def dataset(task: str, folder: Path, **changed: Any) -> Dataset:
    """Write the data of a task, and load them. changed: arrays by name; None leaves one out."""
    given = {**arrays(task), **changed}
    path = folder / f"{task}.npz"
    np.savez(path, **{name: values for name, values in given.items() if values is not None})
    return datasets.load(str(path), options=ReadOptions(task=task))
