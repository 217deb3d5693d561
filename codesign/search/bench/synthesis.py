"""Synthesis of the NPUs on the true front of the task ``enumerated``: what its LUTs are worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.cost.characterization.characterize import measure
from codesign.cost.characterization.measuring import Progress, RowStore, measure_all
from codesign.cost.data import dataset
from codesign.search.bench import enumerated
from codesign.search.pareto import Floats
from rtl_gen.config import NpuConfig

SHIPPED = Path(__file__).parent / "front_xc7.csv"
"""Synthesised NPUs of the front, in the form of the synthesis data set."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """LUTs of the front's NPUs, estimated and as Yosys counts them. Made by ``compare``."""

    npus: int
    """Different NPUs on the front, synthesised or not."""
    estimated: Floats
    """LUTs of the area model of those that were synthesised, shape (n,)."""
    synthesised: Floats
    """LUTs of the same NPUs after synthesis, shape (n,)."""

    @property
    def errors(self) -> Floats:
        """Relative errors of the estimates, shape (n,)."""
        found: Floats = self.estimated / self.synthesised - 1
        return found


def front() -> dict[NpuConfig, float]:
    """Return the different NPUs on the true front with their estimated LUTs, by their hash."""
    found, _ = enumerated.every_design()
    rows = enumerated.task().front
    npus = {
        found.estimate.npu.config(row): float(found.estimate.area.luts[row])
        for row in map(int, rows)
    }
    return dict(sorted(npus.items(), key=lambda item: item[0].hash))


def synthesise(path: Path, jobs: int, progress: Progress) -> int:
    """Synthesise the front's NPUs that ``path`` lacks; return how many failed.

    Each result is written when it is there, so that a killed run goes on. Raises UserError for a
    bad file or without Yosys, OSError when the file cannot be written.
    """
    store = RowStore(path, dataset.LAYOUT)
    wanted = list(front())
    count = len({*(row.config for row in store.rows.values()), *wanted})
    return len(
        measure_all(wanted, store, count, jobs, progress, measure, lambda done: store.add(done.row))
    )


def compare(path: Path = SHIPPED) -> Comparison:
    """Return the front's LUTs beside those of the data set ``path``. Raises UserError."""
    npus = front()
    rows = [row for row in dataset.read(path) if row.config in npus]
    return Comparison(
        len(npus),
        np.array([npus[row.config] for row in rows], dtype=np.float64),
        np.array([row.luts for row in rows], dtype=np.float64),
    )
