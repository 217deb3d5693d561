"""Raw rows of benchmark runs: a CSV file with the course of every run, to go on from."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.results import UserError
from codesign.search.bench.running import Run
from codesign.search.pareto import Floats
from models.files.reading import told_as
from models.files.tables import read_csv, wrong_columns
from models.files.writing import atomic_file

COLUMNS = (
    "task", "strategy", "seed", "limit", "batch", "evaluations", "cpu_s", "hypervolume_share",
    "front",
)  # fmt: skip


@dataclass(frozen=True)
class RunFile:
    """CSV file of runs of up to ``limit`` evaluations, ``batch`` candidates asked for at a time.

    >>> RunFile(Path("runs.csv"), limit=400, batch=10).batch
    10
    """

    path: Path
    limit: int
    batch: int

    def read(self) -> list[Run]:
        """Return the runs of the file, none without it.

        Raises UserError for a damaged file, and for runs of another limit or batch.
        """
        if not self.path.exists():
            return []
        with told_as(UserError):
            head, *lines = read_csv(self.path) or [[]]
        if tuple(head) != COLUMNS:
            raise UserError(f"{self.path}:1: {wrong_columns(head, COLUMNS)}")
        runs = []
        for (task, strategy, seed), rows in itertools.groupby(
            enumerate(lines, start=2), lambda row: tuple(row[1][:3])
        ):
            numbered = list(rows)
            try:
                runs.append(self._run(task, strategy, int(seed), [cells for _, cells in numbered]))
            except ValueError as error:
                raise UserError(f"{self.path}:{numbered[0][0]}: {error}") from None
        return runs

    def write(self, runs: Iterable[Run]) -> None:
        """Write the courses of runs: rows of batches that changed the hypervolume, and the last.

        The last has the front, a point between semicolons. The file is replaced atomically. Raises
        OSError.
        """
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(COLUMNS)
        for run in runs:
            last = len(run.shares) - 1
            changed = np.flatnonzero(np.diff(run.shares, prepend=-1.0))
            for place in sorted({*changed.tolist(), last}):
                table.writerow(
                    (
                        run.task, run.strategy, run.seed, self.limit, self.batch,
                        run.evaluations[place], f"{run.cpu_s[place]:.3f}",
                        repr(float(run.shares[place])), _told(run.front) if place == last else "",
                    )
                )  # fmt: skip
        with atomic_file(self.path) as file:
            file.write(text.getvalue().encode())

    def _run(self, task: str, strategy: str, seed: int, rows: Sequence[Sequence[str]]) -> Run:
        """Return a run of its rows. Raises ValueError for what is no run of these settings."""
        if any(len(cells) != len(COLUMNS) for cells in rows):
            raise ValueError(f"a row has not {len(COLUMNS)} cells")
        for cells in rows:
            if (cells[3], cells[4]) != (str(self.limit), str(self.batch)):
                raise ValueError(
                    f"the run is of {cells[3]} evaluations in batches of {cells[4]}, not "
                    f"{self.limit} in batches of {self.batch}: name another file"
                )
        evaluations, seconds, shares = zip(*(cells[5:8] for cells in rows), strict=True)
        counts = np.array([int(one) for one in evaluations], dtype=np.int64)
        found = Run(
            task, strategy, seed, counts, np.array(seconds, float), np.array(shares, float),
            _points(rows[-1][8]),
        )  # fmt: skip
        if not np.isfinite([*found.cpu_s, *found.shares, *found.front.flat]).all():
            raise ValueError("a number is not finite")
        if (shares[-1] != "0.0") != (len(found.front) > 0):
            raise ValueError("the last row of the run lacks its front")
        return found


def _told(front: Floats) -> str:
    """Return points of shape (n, m) as text."""
    return ";".join(" ".join(map(repr, point)) for point in front.tolist())


def _points(text: str) -> Floats:
    """Return the points of ``_told``, shape (n, m). Raises ValueError for other text."""
    points = [[float(number) for number in point.split()] for point in text.split(";") if point]
    found: Floats = np.array(points, dtype=np.float64)
    return found if points else np.empty((0, 0))
