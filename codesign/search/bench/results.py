"""Raw rows of benchmark runs: a CSV file with the course of every run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from codesign.search.bench.running import Run
from models.files.writing import atomic_file

COLUMNS = ("task", "strategy", "seed", "evaluations", "cpu_s", "hypervolume_share")


def write(path: Path, runs: Iterable[Run]) -> None:
    """Write the courses of runs, one row for each batch that changed the hypervolume, and the last.

    The file is replaced atomically. Raises OSError.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for run in runs:
        changed = np.flatnonzero(np.diff(run.shares, prepend=-1.0))
        for place in sorted({*changed.tolist(), len(run.shares) - 1}):
            table.writerow(
                (
                    run.task, run.strategy, run.seed, run.evaluations[place],
                    f"{run.cpu_s[place]:.3f}", f"{run.shares[place]:.5f}",
                )
            )  # fmt: skip
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())
