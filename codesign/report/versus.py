"""The comparison of several runs as text, as JSON, and as one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codesign.report import charts, page
from codesign.report.comparison import UNKNOWN, show
from codesign.report.data import Candidate
from codesign.report.runs import Run, dominated_by, notes
from models.files.writing import atomic_file

FRONT_HEAD = (
    "run",
    "design on the front",
    "validation",
    "training",
    "images/s",
    "LUTs",
    "beaten by",
)
"""Column titles of ``front_rows``."""
_FIGURES = {
    "images_per_second": "images per second",
    "cycles_per_image": "cycles per image",
    "luts": "LUTs",
    "brams": "block RAMs (36 Kb)",
    "dsps": "DSP slices",
}


def rows(runs: Sequence[Run]) -> list[list[str]]:
    """Return the table of all runs: one row per property, a title and then one cell per run."""
    table = [
        ["design", *(run.design.name if run.design else UNKNOWN for run in runs)],
        ["data set", *(run.dataset for run in runs)],
        ["test accuracy", *(_accuracy(run) for run in runs)],
        *([title, *(_figure(run, name) for run in runs)] for name, title in _FIGURES.items()),
        ["array", *(run.array or UNKNOWN for run in runs)],
        ["bits", *(run.bits or UNKNOWN for run in runs)],
    ]
    if any(run.front is not None for run in runs):
        table.append(["designs on the front", *(_front(run) for run in runs)])
        table.append(["of these beaten by another run", *(_beaten(run, runs) for run in runs)])
    return table


def _accuracy(run: Run) -> str:
    if run.accuracy is None:
        return UNKNOWN
    of = "" if run.images is None else f" of {run.images:,} images"
    return f"{100 * run.accuracy:.2f} %{of}"


def _figure(run: Run, name: str) -> str:
    """Return a run's figure as text: the measured one, with the estimate behind it if it differs.

    name: a field of Figures. Measured is synthesised, else simulated; without it the estimate is
    marked as one, and without both the text is UNKNOWN.
    """
    guess = getattr(run.estimate, name)
    measured = getattr(run.synthesised, name)
    measured = getattr(run.simulated, name) if measured is None else measured
    if measured is None:
        return UNKNOWN if guess is None else f"{show(guess)} (estimate)"
    same = guess is None or show(guess) == show(measured)
    return show(measured) if same else f"{show(measured)} (estimate {show(guess)})"


def _front(run: Run) -> str:
    return UNKNOWN if run.front is None else str(len(run.front))


def _beaten(run: Run, runs: Sequence[Run]) -> str:
    if run.front is None:
        return UNKNOWN
    beaten = [by for one in run.front if (by := dominated_by(one, run, runs))]
    others = dict.fromkeys(name for by in beaten for name in by)
    return f"{len(beaten)} (by {', '.join(others)})" if beaten else "0"


def front_rows(runs: Sequence[Run]) -> list[list[str]]:
    """Return one row per design on a front, best accuracy of each run first; see FRONT_HEAD."""
    return [
        [
            run.name,
            one.label + (" (chosen)" if one.chosen else ""),
            f"{100 * one.accuracy:.2f} %",
            "full" if one.trained_fully else "short",
            f"{one.images_per_second:,.0f}",
            f"{one.luts:,.0f}",
            ", ".join(dominated_by(one, run, runs)),
        ]
        for run in runs
        for one in _ordered(run)
    ]


def _ordered(run: Run) -> list[Candidate]:
    return sorted(run.front or (), key=lambda c: (-c.accuracy, -c.images_per_second))


def to_dict(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the JSON form: ``runs`` (one dict per run, in order) and ``notes`` (sentences)."""
    return {"runs": [_run(run, runs) for run in runs], "notes": notes(runs)}


def _run(run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    npu = run.design.npu if run.design else None
    front = None
    if run.front is not None:
        keys = ("label", "accuracy", "images_per_second", "luts", "chosen")
        front = [
            {
                **{key: getattr(one, key) for key in keys},
                "dominated_by": dominated_by(one, run, runs),
            }
            for one in _ordered(run)
        ]
    return {
        "name": run.name,
        "folder": str(run.folder),
        "design": run.design.name if run.design else None,
        "dataset": run.dataset,
        "test_accuracy": {"share": run.accuracy, "images": run.images},
        "clock_mhz": run.design.clock_mhz if run.design else None,
        "array": {name: getattr(npu, name) for name in ("pixels", "lanes", "columns")}
        if npu
        else None,
        "bits": run.bits,
        "estimate": run.estimate.to_dict(),
        "simulated": run.simulated.to_dict(),
        "synthesised": run.synthesised.to_dict(),
        "front": front,
        "problem": run.problem,
    }


def _built(run: Run) -> Candidate | None:
    """Return the design that a run built as a dot of the chart; None if not all of it is known.

    Known must be its validation accuracy, images per second and LUTs.
    """
    best = run.best
    if run.validation is None or best.images_per_second is None or best.luts is None:
        return None
    rate, luts = best.images_per_second, best.luts
    return Candidate(f"{run.name}, built", run.validation, rate, luts, trained_fully=True)


def render(runs: Sequence[Run]) -> str:
    """Return the HTML page, which loads nothing from the network."""
    title = " and ".join(run.name for run in runs) if len(runs) == 2 else f"{len(runs)} runs"
    said = html.escape(" ".join(f"{note[:1].upper()}{note[1:]}." for note in notes(runs)))
    table = page.table(("", *(run.name for run in runs)), rows(runs), set())
    cards = [page.Card("Side by side", said, table, wide=True)]
    groups = [(run.front or (), _built(run)) for run in runs]
    if any(front or built for front, built in groups):
        legend = "".join(
            f'<span class="key"><i class="legend run{index % charts.COLOURS}"></i> '
            f"{html.escape(run.name)}</span> "
            for index, run in enumerate(runs)
        )
        note = (
            f"{legend}<br>Dots: estimates of the designs on each search's front. Filled dots, "
            "solid line: accuracies of full trainings; hollow, dashed: of short ones, which are "
            "lower. Ring: the design that was built, with the accuracy of its full training. Area "
            "shows LUTs. Lines: accuracy against throughput alone."
        )
        cards.append(page.Card("Fronts", note, charts.fronts(groups), wide=True))
    if any(run.front for run in runs):
        body = page.table(FRONT_HEAD, front_rows(runs), {0, 1, 3, 6})
        cards.append(page.Card("Designs on the fronts", "", body, wide=True))
    return page.document(f"Comparison of {title}", "", page.layout(cards))


def write(runs: Sequence[Run], path: Path) -> Path:
    """Write the page to ``path`` atomically and return ``path``. Raises OSError."""
    with atomic_file(path) as file:
        file.write(render(runs).encode())
    return path
