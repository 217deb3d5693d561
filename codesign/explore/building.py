"""Synthesis, build folder, verification and report of the design that was chosen."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codesign import prediction, report
from codesign.build import build_folder, pipeline, verification
from codesign.build.evaluation import training_report
from codesign.build.pipeline import Lowered
from codesign.build.verification import Verification
from codesign.cost.area.model import AreaModel
from codesign.design import Design
from codesign.explore.choice import Option, Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.search import Progress
from codesign.explore.stages import StageClock
from codesign.explore.training import notes as notes_of_training
from codesign.fpga import synthesis
from codesign.fpga.synthesis import Synthesis
from codesign.prediction import DesignEstimate
from codesign.report import Candidate, collect
from codesign.results import RESOURCES, Budget
from codesign.search.engine import Problem
from models.files.reading import read_json
from models.integer import bits
from models.integer.bits import LayerBits
from models.training.trained import TrainedNetwork
from rtl_gen import emit
from sim.process import kill_all

SIMULATED = "simulated_images_per_second"
"""Key of an attempt whose rate in simulation misses the floor."""


@dataclass
class FinishedDesign:
    """The design after training, synthesis, build and verification. Made by ``finish``.

    ``build`` is None if no design met the budget after synthesis.
    """

    problem: Problem
    """The search problem; each synthesis that misses the budget may raise its area factor."""
    option: Option | None = None
    """The design that was synthesised last."""
    estimate: DesignEstimate | None = None
    """Estimate of that design by the shipped area model, whichever model the search used."""
    build: Path | None = None
    """The build folder; None if no design met the budget after synthesis."""
    accuracy: dict[str, float] = field(default_factory=dict)
    """Accuracy (0..1) of the integer network: ``validation`` and ``test``."""
    scores: dict[str, Any] = field(default_factory=dict)
    """Content of reports/accuracy.json: intervals, recall by class and notes, too."""
    networks: tuple[Trained, ...] = ()
    """All networks of the search, with the results of the full training where there was one."""
    notes: tuple[str, ...] = ()
    """A sentence for everything that was guessed of the data, cut by a limit or is doubtful."""
    weights: LayerBits | None = None
    """Bit counts summed over all weights of the full training; None if nothing was built."""
    synthesised: Synthesis | None = None
    """Synthesis of that design."""
    verification: Verification | None = None
    attempts: list[dict[str, float | str]] = field(default_factory=list)
    """``design`` (name), ``config`` (hash) and figures by name of each synthesised design, in
    order."""
    clock: StageClock = field(default_factory=StageClock)
    """Wall time by stage of the whole run; the stages here are training, synthesis, build and
    verification."""
    failure: str | None = None
    """One sentence if the budget is missed or verification failed; else None."""

    @property
    def status(self) -> int:
        """Exit status: 0 good, 1 failed (``failure``)."""
        return 1 if self.failure else 0


def build_and_verify(
    done: FinishedDesign,
    design: Design,
    weights: TrainedNetwork,
    wanted: FinishSettings,
    progress: Progress,
) -> None:
    """Build and verify the synthesised design of ``done``, which the results go to."""
    assert done.option is not None
    assert done.synthesised is not None
    with done.clock.timed("build"):
        lowered = pipeline.lower_design(design, weights)
        plan = lowered.compiled.plan
        done.estimate = prediction.estimate_design(design, done.problem.family, plan)
        curves = training_report(weights.history, done.option.trained.history)
        kept: list[str] = []
        done.build = _build(design, lowered, done.synthesised, curves, wanted, kept.append)
        done.scores = _scores(done.build)
        done.accuracy = {part: float(done.scores[part]) for part in ("validation", "test")}
        guessed = design.training.notes(wanted.dataset) if wanted.trains else ()
        doubts = (*guessed, *notes_of_training(design, wanted))
        done.notes = (*done.estimate.notes, *done.scores["notes"], *done.notes, *doubts, *kept)
        done.weights = bits.total(pipeline.weight_bits(design, weights).values())
    with done.clock.timed("verification"):
        progress("verification", 0, 1, f"{wanted.settings.images} images")
        done.verification = _verify(done.build, design, wanted)
        progress("verification", 1, 1, "")
    if not done.verification.passed:
        done.failure = done.verification.failure or "verification failed"


def over_budget(measured: Synthesis, budget: Budget, areas: AreaModel) -> list[str]:
    """Return the names of the synthesised resources that exceed the budget; empty if it is met.

    Yosys's counts are multiplied by the factors of the flow that the area model is calibrated to.
    """
    return [
        name
        for name in RESOURCES
        if (limit := getattr(budget, name)) is not None
        and getattr(measured.figures, name) * areas.flow_factor(name) > limit
    ]


def area_ratio(estimate: DesignEstimate, measured: Synthesis) -> float:
    """Return the larger ratio, measured to estimated, of LUTs and flip-flops; zeros left out."""
    pairs = [
        (getattr(measured.figures, name), getattr(estimate.figures, name))
        for name in ("luts", "ffs")
    ]
    return max(found / guessed for found, guessed in pairs if guessed)


def missed(attempts: Sequence[Mapping[str, float | str]]) -> str:
    """Return the sentence on attempts of which none met the budget.

    >>> missed([{"luts": 3000.0}, {"luts": 2000.0, SIMULATED: 900.0}])
    'the budget is missed after synthesis or simulation: 3,000 LUTs, 2,000 LUTs at 900 images/s'
    """
    where = "synthesis" + (" or simulation" if any(SIMULATED in one for one in attempts) else "")
    tried = ", ".join(
        f"{one['luts']:,.0f} LUTs"
        + (f" at {one[SIMULATED]:,.0f} images/s" if SIMULATED in one else "")
        for one in attempts
    )
    return f"the budget is missed after {where}: {tried}"


def too_slow(
    attempt: Mapping[str, float | str], estimate: DesignEstimate | None, floor: float
) -> str:
    """Return the note on an attempt whose simulated rate is below the floor, in images/s."""
    rate = (estimate.figures.images_per_second if estimate else None) or 0.0
    return (
        f"a design of {attempt['luts']:,.0f} LUTs was refused: {attempt[SIMULATED]:,.0f} images/s "
        f"in simulation, estimated {rate:,.0f}, at least {floor:,.0f} are asked for"
    )


class SynthesisAhead:
    """Syntheses that begin before it is certain that they are needed, one at a time.

    Made by ``finish``.
    """

    def __init__(self, wanted: FinishSettings) -> None:
        self.wanted = wanted
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._running: tuple[Design, concurrent.futures.Future[Synthesis]] | None = None

    def __enter__(self) -> SynthesisAhead:
        return self

    def __exit__(self, *error: object) -> None:
        if any(error):
            kill_all()  # otherwise the pool waits for Yosys before an interrupt takes effect
        self._pool.shutdown()

    def begin(self, design: Design) -> None:
        """Synthesise a design in the background unless another one is being synthesised."""
        if self._running is None or self._running[1].done():
            self._running = design, self._pool.submit(synthesise, design, self.wanted)

    def result(self, design: Design) -> Synthesis:
        """Return the synthesis of a design, begun or not; another one that was begun is dropped."""
        running, self._running = self._running, None
        if running is not None and running[0].npu == design.npu:
            return running[1].result()
        if running is not None and not running[1].done():
            kill_all()
        return synthesise(design, self.wanted)


def synthesise(design: Design, wanted: FinishSettings) -> Synthesis:
    return synthesis.synthesise(
        emit.verilog(design.npu),
        dsps=design.npu.uses_dsps,
        family=wanted.settings.family,
    )


def _build(
    design: Design,
    lowered: Lowered,
    measured: Synthesis,
    curves: Mapping[str, Any],
    wanted: FinishSettings,
    warn: Callable[[str], None],
) -> Path:
    """Write the build folder, with synthesis and learning curves among its reports.

    warn: called for what a build before it has there and someone changed (build_folder.build).
    """
    out = wanted.builds / design.name
    reports = {collect.SYNTHESIS: synthesis.to_dict(measured), collect.TRAINING: curves}
    return pipeline.write_build(
        design,
        lowered,
        wanted.dataset,
        out,
        device=wanted.settings.device,
        reports=reports,
        images=wanted.images,
        prefix=wanted.settings.prefix,
        warn=warn,
    )


def _scores(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(folder / "reports" / f"{collect.ACCURACY}.json")
    return found


def _verify(folder: Path, design: Design, wanted: FinishSettings) -> Verification:
    found = verification.verify(
        folder,
        images=wanted.images,
        seed=wanted.settings.seed,
        jobs=wanted.settings.jobs,
        clock_mhz=design.clock_mhz,
    )
    build_folder.add_report(folder, collect.VERIFICATION, found.to_dict())
    return found


def write_report(
    finished: FinishedDesign, wanted: FinishSettings, candidates: Sequence[Candidate]
) -> Path | None:
    """Write report.html into the build folder and return its path; None if nothing was built."""
    if finished.build is None:
        return None
    device = wanted.settings.device
    data = collect.from_build(
        finished.build,
        budget=finished.problem.budget,
        device=device.name if device else None,
        candidates=candidates,
    )
    page = finished.build / "report.html"
    report.write(data, page)
    return page
