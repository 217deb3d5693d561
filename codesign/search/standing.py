"""State of a search after each training: for a table on a terminal, and as JSON lines."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.search.engine import InnerSearch
from codesign.search.pareto import hypervolume
from codesign.search.trials import TrialRecord
from models.files.writing import atomic_file


@dataclass(frozen=True)
class Standing:
    """State of a search after a training. Made by ``Watch.update``."""

    trained: int
    """Networks trained briefly, by all processes and runs."""
    networks: int
    """Networks to train briefly in all."""
    best: str
    """Name of the network with the best validation accuracy."""
    best_accuracy: float
    """Its validation accuracy after the short training, 0..1."""
    most_images_per_second: float
    """Throughput of the fastest trained network, on the NPU it was proposed with."""
    hypervolume: float
    """Area that the trained networks dominate in accuracy (0..1) and images per second, from 0 and
    0 on: what an accuracy and a throughput are worth together, in images per second."""
    evaluations: int
    """Designs estimated."""
    feasible_share: float
    """Share of the space within the budget, 0..1, estimated (InnerSearch.feasible_share)."""
    pruned: Mapping[str, float]
    """Limit -> share of the designs estimated that miss it, 0..1; some miss several."""
    elapsed_s: float
    """Seconds since the first training of this run was asked for."""
    left_s: float | None
    """Seconds to the last short training, by the pace of this run; None before its first one."""


class Watch:
    """Standings of one run of a search, told and kept in a file of JSON lines. Made by ``explore``.

    The file has one object a line, the fields of Standing, and is whole at any moment.
    """

    def __init__(
        self, path: Path, networks: int, tell: Callable[[Standing], None], limit_s: float | None
    ) -> None:
        """Prepare; nothing is written. ``limit_s``: longest time for short trainings, or None."""
        self._path, self._networks, self._tell, self._limit_s = path, networks, tell, limit_s
        self._started: tuple[float, int] | None = None
        self._lines: list[str] = []

    def update(self, records: Sequence[TrialRecord], inner: InnerSearch) -> None:
        """Tell what ``records``, all finished trials, and the search on estimates have reached.

        The first call tells what there was before this run, if anything. Raises OSError.
        """
        now = time.monotonic()
        self._started = self._started or (now, len(records))
        if not records:
            return
        since, before = self._started
        best = max(records, key=lambda one: one.values[0])
        values = np.array([one.values[:2] for one in records])
        networks, elapsed, left = max(self._networks, len(records)), now - since, None
        if len(records) > before:
            left = elapsed * (networks - len(records)) / (len(records) - before)
            if self._limit_s is not None:
                left = max(min(left, self._limit_s - elapsed), 0.0)
        standing = Standing(
            trained=len(records),
            networks=networks,
            best=str(best.attributes.get("network", best.key)),
            best_accuracy=best.values[0],
            most_images_per_second=float(values[:, 1].max()),
            hypervolume=float(hypervolume(-values, np.zeros(2))),
            evaluations=inner.evaluations,
            feasible_share=inner.feasible_share[0],
            pruned=inner.pruned,
            elapsed_s=round(elapsed, 2),
            left_s=None if left is None else round(left, 2),
        )
        self._lines.append(json.dumps(dataclasses.asdict(standing)) + "\n")
        with atomic_file(self._path) as file:
            file.write("".join(self._lines).encode())
        self._tell(standing)
