"""The content of summary.json."""

from __future__ import annotations

import dataclasses
import resource
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesign.explore.building import FinishedDesign
from codesign.explore.settings import ExploreSettings
from codesign.fpga import devices
from codesign.report import Candidate
from codesign.search.space.genome import network_key


def empty_summary(settings: ExploreSettings, start: float) -> dict[str, Any]:
    """Return summary.json of a run without a result: all stable keys, unknown values empty.

    start: time.monotonic() at the start of the run.
    """
    return {
        "status": 0,
        "problem": None,
        "design": None,
        "build": None,
        "report": None,
        "dataset": settings.dataset,
        "seed": settings.seed,
        "accuracy": {},
        "scores": {},
        "classes": [],
        "per_class": {},
        "one_bits": {},
        "estimate": {},
        "notes": [*settings.notes, *(() if settings.device else (devices.ASSUMED,))],
        "simulated": {},
        "synthesised": {},
        "front": [],
        "layers": [],
        "zoo": {},
        "folds": {},
        "search": {},
        "budget": {k: v for k, v in dataclasses.asdict(settings.budget).items() if v is not None},
        "wall_seconds": round(time.monotonic() - start, 1),
        "peak_memory_bytes": _peak_memory_bytes(),
    }


def full_summary(
    settings: ExploreSettings,
    finished: FinishedDesign,
    page: Path | None,
    start: float,
) -> dict[str, Any]:
    """Return summary.json of a finished run; paths are relative to its folder.

    ``front`` and ``search`` are still empty. page: report.html, or None. start: time.monotonic() at
    the start of the run.
    """
    out = settings.out

    def relative(path: Path | None) -> str | None:
        return None if path is None else str(path.relative_to(out))

    simulated = finished.verification
    empty = empty_summary(settings, start)
    return {
        **empty,
        "status": finished.status,
        "problem": finished.failure,
        "design": relative(finished.build and finished.build / "design.yaml"),
        "build": relative(finished.build),
        "report": relative(page),
        "accuracy": finished.accuracy,
        "one_bits": {
            "total": finished.weights.ones,
            "per_weight": round(finished.weights.ones_per_weight, 3),
        }
        if finished.weights
        else {},
        "estimate": finished.estimate.figures.to_dict() if finished.estimate else {},
        "scores": finished.scores.get("scores", {}),
        "classes": finished.scores.get("classes", []),
        "per_class": finished.scores.get("per_class", {}),
        "notes": [*empty["notes"], *finished.notes],
        "simulated": {
            **simulated.figures.to_dict(),
            "images": simulated.images,
            "bit_exact": simulated.bit_exact,
        }
        if simulated
        else {},
        "synthesised": finished.synthesised.figures.to_dict() if finished.synthesised else {},
        "networks_trained": len(finished.networks),
        "networks_trained_fully": sum(one.trained_fully for one in finished.networks),
        "folds": folds_of(finished),
        "attempts": finished.attempts,
        "stage_seconds": finished.clock.account(empty["wall_seconds"]),
    }


def folds_of(finished: FinishedDesign) -> dict[str, list[float]]:
    """Return the settled validation accuracies of networks on all folds, by network_key."""
    space = finished.problem.space
    return {
        network_key(space, one.candidate): [round(share, 4) for share in one.folds]
        for one in finished.networks
        if one.folds
    }


def front(candidates: Sequence[Candidate]) -> list[dict[str, Any]]:
    """Return the designs on the Pareto front, and the chosen one, as JSON objects.

    The most accurate ones come first; accuracies are of validation images.
    """
    names = ("label", "key", "accuracy", "trained_fully", "images_per_second", "luts", "brams",
             "objectives", "chosen")  # fmt: skip
    shown = sorted((c for c in candidates if c.on_front or c.chosen), key=lambda c: -c.accuracy)
    return [{name: getattr(one, name) for name in names} for one in shown]


def _peak_memory_bytes() -> int:
    """Return the peak memory of this process plus that of its largest child process, in bytes."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * sum(resource.getrusage(one).ru_maxrss for one in who)
