"""The last part of ``explore``: full training, synthesis, build and verification of a design.

With two or more jobs, synthesis runs beside the training. A design that synthesis finds over the
budget is replaced by the next best one, with area estimates scaled by measured over estimated area;
weights are kept while the network stays the same. A resumed run reuses weights and syntheses from
disk, but writes and verifies the build folder again.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from codesign.explore.choice import Option, Trained, best_option
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.search import Progress
from codesign.explore.training import notes as notes_of_training
from codesign.explore.training import train, widened
from codesign.fpga import synthesis
from codesign.fpga.synthesis import Synthesis
from codesign.prediction import DesignEstimate
from codesign.report import Candidate, collect
from codesign.results import RESOURCES, Budget, Infeasible, InfeasibleError
from codesign.search.engine import Problem
from codesign.search.space.candidates import to_design
from codesign.search.space.topology import network_key
from models.files.reading import read_json
from models.integer import bits
from models.integer.bits import LayerBits
from rtl_gen import emit
from sim.process import kill_all

MAX_ATTEMPTS = 4
"""Designs that are synthesised at most before the budget counts as missed."""


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
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Wall time in seconds, by stage: training, synthesis, build, verification."""
    failure: str | None = None
    """One sentence if the budget is missed or verification failed; else None."""

    @property
    def status(self) -> int:
        """Exit status: 0 good, 1 failed (``failure``)."""
        return 1 if self.failure else 0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of the ``with`` block to ``stage_seconds[stage]``, unless it raises."""
        start = time.monotonic()
        yield
        spent = self.stage_seconds.get(stage, 0.0) + time.monotonic() - start
        self.stage_seconds[stage] = round(spent, 1)


def finish(
    problem: Problem, trained: Sequence[Trained], wanted: FinishSettings, progress: Progress
) -> FinishedDesign:
    """Synthesise the best designs in turn until one meets the budget; build and verify that one.

    At most MAX_ATTEMPTS are synthesised. If none of them meets the budget, or verification fails,
    the result says why in ``failure``. Files go below ``wanted.settings.out``. Raises
    InfeasibleError when no design is left to synthesise, with the reasons of the last one that the
    compiler refused; YosysError and SimulationError when a tool fails.
    """
    done = FinishedDesign(problem)
    refused: set[bytes] = set()
    reasons: tuple[Infeasible, ...] = ()
    while len(done.attempts) < MAX_ATTEMPTS:
        option = best_option(done.problem, trained, frozenset(refused), wanted.settings.boo_within)
        if option is None:
            break
        refused.add(option.candidate.tobytes())
        try:
            design = _design(done.problem, option, wanted)
        except InfeasibleError as error:
            reasons = error.reasons
            continue
        if _attempt(done, option, design, wanted, progress):
            return done
    if not done.attempts:
        raise InfeasibleError(reasons)
    tried = ", ".join(f"{one['luts']:,.0f} LUTs" for one in done.attempts)
    done.failure = f"the budget is missed after synthesis: {tried}"
    return done


def _design(problem: Problem, option: Option, wanted: FinishSettings) -> Design:
    """Return the option as a design, planned by the compiler rather than by estimates.

    Raises InfeasibleError when the compiler refuses it or its exact block RAMs exceed the budget.
    """
    design = to_design(
        problem.space,
        option.candidate,
        option.evaluated.estimate.npu.config(option.row),
        name=f"{wanted.name}-{network_key(problem.space, option.candidate)}",
        seed=wanted.settings.seed,
        dataset=wanted.settings.data,
        clock_mhz=problem.budget.clock_mhz,
    )
    design = dataclasses.replace(
        pipeline.with_mapping(design, wanted.dataset), training=wanted.settings.training
    )
    exact = prediction.estimate_design(design, problem.family).figures
    have, need = problem.budget.brams, exact.brams
    if have is not None and need is not None and need > have:
        levers = ("raise --bram-budget",)
        raise InfeasibleError((Infeasible("brams", design.name, need, have, "block RAMs", levers),))
    return design


def _attempt(
    done: FinishedDesign, option: Option, design: Design, wanted: FinishSettings, progress: Progress
) -> bool:
    """Train and synthesise a design; if it meets the budget, build and verify it.

    With two or more jobs, training and synthesis run side by side. Results go to ``done``. Returns
    False if synthesis finds the design over the budget, which also raises the area factor of
    ``done.problem`` to measured over estimated area, if that is larger; else True, even if
    verification failed (``done.failure``).
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(_synthesise, design, wanted) if wanted.settings.jobs > 1 else None
        try:
            with done.timed("training"):
                weights = train(design, option.trained, wanted, progress)
                design, integer_bits = widened(design, weights)
            progress("synthesis", 0, 1, f"{design.npu.macs} products")
            with done.timed("synthesis"):
                if future:
                    measured = future.result()
                if not future or integer_bits:
                    measured = _synthesise(design, wanted)
        except BaseException:
            kill_all()  # otherwise the pool waits for Yosys before the interrupt takes effect
            raise
        progress("synthesis", 1, 1, f"{measured.figures.luts:,.0f} LUTs")
    done.option, done.synthesised = option, measured
    # Always by the shipped model, because it is shown beside Yosys's counts.
    done.estimate = prediction.estimate_design(design, done.problem.family)
    over = _over(measured, done.problem.budget, done.problem.model)
    done.attempts.append(
        {"design": design.name, "config": design.npu.hash[:12], **measured.figures.to_dict()}
    )
    if over:
        done.problem = dataclasses.replace(
            done.problem, area_factor=max(_ratio(done.estimate, measured), done.problem.area_factor)
        )
        return False
    with done.timed("build"):
        lowered = pipeline.lower_design(design, weights)
        plan = lowered.compiled.plan
        done.estimate = prediction.estimate_design(design, done.problem.family, plan)
        curves = training_report(weights.history, option.trained.history)
        done.build = _build(design, lowered, measured, curves, wanted)
        done.scores = _scores(done.build)
        done.accuracy = {part: float(done.scores[part]) for part in ("validation", "test")}
        cut = notes_of_training(design, wanted)
        done.notes = (*done.estimate.notes, *done.scores["notes"], *cut)
        done.weights = bits.total(pipeline.weight_bits(design, weights).values())
    with done.timed("verification"):
        progress("verification", 0, 1, f"{wanted.settings.images} images")
        done.verification = _verify(done.build, design, wanted)
        progress("verification", 1, 1, "")
    if not done.verification.passed:
        done.failure = done.verification.failure or "verification failed"
    return True


def _over(measured: Synthesis, budget: Budget, areas: AreaModel) -> list[str]:
    """Return the names of the synthesised resources that exceed the budget; empty if it is met.

    Yosys's counts are multiplied by the factors of the flow that the area model is calibrated to.
    """
    return [
        name
        for name in RESOURCES
        if (limit := getattr(budget, name)) is not None
        and getattr(measured.figures, name) * areas.flow_factor(name) > limit
    ]


def _ratio(estimate: DesignEstimate, measured: Synthesis) -> float:
    """Return the larger ratio, measured to estimated, of LUTs and flip-flops; zeros left out."""
    pairs = [
        (getattr(measured.figures, name), getattr(estimate.figures, name))
        for name in ("luts", "ffs")
    ]
    return max(found / guessed for found, guessed in pairs if guessed)


def _synthesise(design: Design, wanted: FinishSettings) -> Synthesis:
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
) -> Path:
    """Write the build folder, with synthesis and learning curves among its reports."""
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
