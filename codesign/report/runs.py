"""Builds and searches to compare with each other, as read from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign import design as designs
from codesign.build import manifest
from codesign.design import Design
from codesign.report import collect, stored
from codesign.report.data import Candidate
from codesign.results import Figures, UserError
from models.quantisation.plan import knobs

EXPLORE, SUMMARY, FRONT = "explore.json", "summary.json", "front.json"
"""Files of a search."""
UNKNOWN = Figures()


@dataclass(frozen=True)
class Run:
    """One build, or one search with its front and the design that it built.

    >>> Run("small", Path("runs/small"), "digits").best.luts is None
    True
    """

    name: str
    """Name of the folder, or its path where two of the runs have the same name."""
    folder: Path
    dataset: str
    data_sha256: str | None = None
    """Hash of the data set's values and labels; None in folders of release 0.2 and older builds."""
    accuracy: float | None = None
    """Test accuracy of the integer network, 0..1."""
    images: int | None = None
    """Test images that ``accuracy`` is over; None in folders of release 0.2 and older."""
    validation: float | None = None
    """Validation accuracy of the integer network, 0..1."""
    design: Design | None = None
    """The design that was built; None if a search built nothing."""
    estimate: Figures = UNKNOWN
    simulated: Figures = UNKNOWN
    synthesised: Figures = UNKNOWN
    family: str | None = None
    """FPGA family of ``synthesised``."""
    front: tuple[Candidate, ...] | None = None
    """Designs on the Pareto front of a search, empty without a front.json; None for a build."""
    problem: str | None = None
    """One sentence if a search failed, else None."""

    def same_data(self, other: Run) -> bool:
        """Return True if both runs are on the same data: by content, where that is known of both.

        Otherwise the names of the data sets count.
        """
        if self.data_sha256 and other.data_sha256:
            return self.data_sha256 == other.data_sha256
        return self.dataset == other.dataset

    @property
    def best(self) -> Figures:
        """Each figure from its best source: synthesis, else simulation, else the estimate."""
        known = {
            **self.estimate.to_dict(),
            **self.simulated.to_dict(),
            **self.synthesised.to_dict(),
        }
        return Figures(**known)

    @property
    def array(self) -> str | None:
        """Pixel lanes x input lanes x columns of the array, and bits of a weight digit, as text."""
        if self.design is None:
            return None
        npu = self.design.npu
        return f"{npu.pixels} x {npu.lanes} x {npu.columns}, {npu.weight_digit_bits}-bit digits"

    @property
    def bits(self) -> str | None:
        """Least and most bits of weights and activations, such as ``w2-4 a4``; None if unbuilt."""
        if self.design is None:
            return None
        quantisation, found = self.design.quantisation, []
        for letter, field in (("w", "weight_bits"), ("a", "activation_bits")):
            layers = knobs(self.design.network).items()
            widths = {
                getattr(quantisation.spec(name), field) for name, has in layers if field in has
            }
            if widths:
                low, high = min(widths), max(widths)
                found.append(f"{letter}{low}" if low == high else f"{letter}{low}-{high}")
        return " ".join(found)


def read(folders: Sequence[Path]) -> list[Run]:
    """Read build folders and folders of searches, in order. Raises UserError naming a bad one."""
    names = [folder.resolve().name for folder in folders]
    return [
        _read(folder, name if names.count(name) == 1 else str(folder))
        for folder, name in zip(folders, names, strict=True)
    ]


def _read(folder: Path, name: str) -> Run:
    try:
        if manifest.is_build(folder):
            return _build(folder, name)
        if (folder / EXPLORE).exists() and (folder / SUMMARY).exists():
            return _search(folder, name)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} cannot be read: {error}") from None
    raise UserError(f"{folder} is neither a build folder nor a finished codesign explore")


def _build(folder: Path, name: str) -> Run:
    design = designs.load(folder / "design.yaml")
    scores, predicted, mapped, ran = (
        stored.read(folder / "reports", report, stored.FIGURES)
        if (folder / "reports" / f"{report}.json").exists()
        else {}
        for report in (collect.ACCURACY, collect.ESTIMATE, collect.SYNTHESIS, collect.VERIFICATION)
    )
    # Folders of release 0.2 have the shares alone.
    return Run(
        name,
        folder,
        design.dataset.name,
        scores.get("data_sha256"),
        accuracy=scores.get("test"),
        images=scores.get("scores", {}).get("test", {}).get("images"),
        validation=scores.get("validation"),
        design=design,
        estimate=_figures(predicted),
        simulated=_figures(ran),
        synthesised=_figures(mapped.get("figures", {})),
        family=mapped.get("family"),
    )


def _search(folder: Path, name: str) -> Run:
    summary, explored = (stored.read(folder, one) for one in ("summary", "explore"))
    known = explored.get("data_sha256")
    shown = stored.read(folder, "front") if (folder / FRONT).exists() else {"candidates": []}
    front = tuple(one for one in collect.candidates(shown) if one.on_front)
    details: dict[str, Any] = {"front": front, "problem": summary.get("problem")}
    if not summary.get("build"):
        return Run(name, folder, summary["dataset"], known, **details)
    built = vars(_build(stored.built(folder, summary), name))
    return Run(**{**built, "folder": folder, "data_sha256": known, **details})


def _figures(values: dict[str, Any]) -> Figures:
    return collect.figures(values) or UNKNOWN


def dominated_by(one: Candidate, run: Run, runs: Sequence[Run]) -> list[str]:
    """Return the names of the other searches on the same data whose front beats ``one``.

    One design of that front must do it alone. one: a design of ``run``. A design beats another that
    is worse in accuracy, images per second or LUTs, and better in none.
    """
    return [
        other.name
        for other in runs
        if other is not run
        and other.same_data(run)
        and any(_beats(better, one) for better in other.front or ())
    ]


def _beats(first: Candidate, second: Candidate) -> bool:
    pairs = list(zip(_goals(first), _goals(second), strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _goals(one: Candidate) -> tuple[float, float, float]:
    return one.accuracy, one.images_per_second, -one.luts


def notes(runs: Sequence[Run]) -> list[str]:
    """Return sentences on what speaks against a comparison of the runs; empty if nothing does.

    That is different data, FPGA families or clocks, and failed searches.
    """
    found = []
    foreign = [run for run in runs if not run.same_data(runs[0])]
    if foreign:
        datasets = sorted({run.dataset for run in runs})
        of = (
            f"sets ({', '.join(datasets)})"
            if len(datasets) > 1
            else f"({datasets[0]} of {runs[0].name} is not that of "
            + f"{', '.join(run.name for run in foreign)})"
        )
        found.append(
            f"the runs are on different data {of}; their accuracies do not compare, and fronts "
            "are compared on the same data alone"
        )
    families = sorted({run.family for run in runs if run.family})
    if len(families) > 1:
        found.append(f"resources are of different FPGA families ({', '.join(families)})")
    clocks = sorted({run.design.clock_mhz for run in runs if run.design})
    if len(clocks) > 1:
        told = ", ".join(f"{clock:g}" for clock in clocks)
        found.append(f"images per second are at different clocks ({told} MHz)")
    return [*found, *(f"{run.name}: {run.problem}" for run in runs if run.problem)]
