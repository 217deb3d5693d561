"""The finishing part of ``explore``: the chosen design trained, built, synthesised, verified.

Synthesis runs beside the training where two processes may run. A design that it finds over the
budget is replaced by the next best one under the estimate corrected by what was measured; weights
are kept while the network stays the same. Weights and syntheses are on disk and not made again by a
resumed run; the build folder and its verification are.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codesign import prediction, report
from codesign.build import build_folder, pipeline, verification
from codesign.build.pipeline import Lowered
from codesign.build.verification import Verification
from codesign.cost.area.model import AreaModel
from codesign.design import Design
from codesign.explore.choice import Option, Trained, best_option
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.search import Progress
from codesign.explore.training import train, widened
from codesign.fpga import synthesis
from codesign.fpga.synthesis import Synthesis
from codesign.prediction import DesignEstimate
from codesign.report import Candidate, collect
from codesign.results import RESOURCES, Budget, Infeasible, InfeasibleError
from codesign.search.engine import Problem
from codesign.search.space.candidates import to_design
from codesign.search.space.topology import network_key
from models.integer import bits
from models.integer.bits import LayerBits
from rtl_gen import emit
from sim.process import kill_all

MAX_ATTEMPTS = 4
"""Designs that are synthesised before the search gives up on the budget."""


@dataclass
class FinishedDesign:
    """How far it came. Without a design that fits after synthesis, ``build`` is None."""

    problem: Problem
    """With the area factor that synthesis taught."""
    option: Option | None = None
    estimate: DesignEstimate | None = None
    build: Path | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
    weights: LayerBits | None = None
    """Counts of all weights of the full training."""
    synthesised: Synthesis | None = None
    verification: Verification | None = None
    attempts: list[dict[str, float | str]] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    failure: str | None = None

    @property
    def status(self) -> int:
        return 1 if self.failure else 0

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        spent = self.stage_seconds.get(stage, 0.0) + time.monotonic() - start
        self.stage_seconds[stage] = round(spent, 1)


def finish(
    problem: Problem, trained: Sequence[Trained], wanted: FinishSettings, progress: Progress
) -> FinishedDesign:
    """Work down the ranking until a design meets the budget after synthesis, then verify it.

    Raises InfeasibleError when the compiler refuses every design.
    """
    done = FinishedDesign(problem)
    refused: set[bytes] = set()
    reasons: tuple[Infeasible, ...] = ()
    while len(done.attempts) < MAX_ATTEMPTS:
        option = best_option(done.problem, trained, frozenset(refused), wanted.boo_within)
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
    """The option as a design. Raises InfeasibleError when exact numbers break the budget."""
    design = to_design(
        problem.space,
        option.candidate,
        option.evaluated.estimate.npu.config(option.row),
        name=f"{wanted.name}-{network_key(problem.space, option.candidate)}",
        seed=wanted.seed,
        dataset=wanted.dataset.name,
        clock_mhz=wanted.budget.clock_mhz,
    )
    exact = prediction.estimate_design(design, wanted.family).figures
    have, need = wanted.budget.brams, exact.brams
    if have is not None and need is not None and need > have:
        levers = ("raise --bram-budget",)
        raise InfeasibleError((Infeasible("brams", design.name, need, have, "block RAMs", levers),))
    return design


def _attempt(
    done: FinishedDesign, option: Option, design: Design, wanted: FinishSettings, progress: Progress
) -> bool:
    """Train and synthesise, side by side where two processes may run; build and verify what fits.

    False: over the budget.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(_synthesise, design, wanted) if wanted.jobs > 1 else None
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
            kill_all()  # else the pool waits for Yosys before the interrupt is heard
            raise
        progress("synthesis", 1, 1, f"{measured.figures.luts:,.0f} LUTs")
    done.option, done.synthesised = option, measured
    # By the shipped model, whatever the search went by: it stands beside Yosys' counts.
    done.estimate = prediction.estimate_design(design, wanted.family)
    over = _over(measured, wanted.budget, done.problem.model)
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
        done.build = _build(design, lowered, measured, wanted)
        done.accuracy = _scores(done.build)
        done.weights = bits.total(pipeline.weight_bits(design, weights).values())
    with done.timed("verification"):
        progress("verification", 0, 1, f"{wanted.images} images")
        done.verification = _verify(done.build, design, wanted)
        progress("verification", 1, 1, "")
    if not done.verification.passed:
        done.failure = done.verification.failure or "verification failed"
    return True


def _over(measured: Synthesis, budget: Budget, areas: AreaModel) -> list[str]:
    """Names of the resources of which there are too many: of what Yosys counted, what the flow that
    the area model is calibrated to makes of it."""
    return [
        name
        for name in RESOURCES
        if (limit := getattr(budget, name)) is not None
        and getattr(measured.figures, name) * areas.flow_factor(name) > limit
    ]


def _ratio(estimate: DesignEstimate, measured: Synthesis) -> float:
    """Measured over estimated, of the resource that was estimated worst."""
    pairs = [
        (getattr(measured.figures, name), getattr(estimate.figures, name))
        for name in ("luts", "ffs")
    ]
    return max(found / guessed for found, guessed in pairs if guessed)


def _synthesise(design: Design, wanted: FinishSettings) -> Synthesis:
    return synthesis.synthesise(
        emit.verilog(design.npu),
        dsps=design.npu.uses_dsps,
        family=wanted.family,
    )


def _build(design: Design, lowered: Lowered, measured: Synthesis, wanted: FinishSettings) -> Path:
    """The build folder, with synthesis in its reports."""
    out = wanted.builds / design.name
    reports = {collect.SYNTHESIS: synthesis.to_dict(measured)}
    return pipeline.write_build(
        design, lowered, wanted.dataset, out, device=wanted.device, reports=reports,
        images=min(wanted.images, len(wanted.dataset.test)),
    )  # fmt: skip


def _scores(folder: Path) -> dict[str, float]:
    scores = json.loads((folder / "reports" / f"{collect.ACCURACY}.json").read_text())
    return {name: float(scores[name]) for name in ("validation", "test")}


def _verify(folder: Path, design: Design, wanted: FinishSettings) -> Verification:
    found = verification.verify(
        folder,
        images=min(wanted.images, len(wanted.dataset.test)),
        seed=wanted.seed,
        jobs=wanted.jobs,
        clock_mhz=design.clock_mhz,
    )
    build_folder.add_report(folder, collect.VERIFICATION, found.to_dict())
    return found


def write_report(
    finished: FinishedDesign, wanted: FinishSettings, candidates: Sequence[Candidate]
) -> Path | None:
    """report.html in the build folder; None when nothing was built."""
    if finished.build is None:
        return None
    data = collect.from_build(
        finished.build,
        budget=wanted.budget,
        device=wanted.device.name if wanted.device else None,
        candidates=candidates,
    )
    page = finished.build / "report.html"
    report.write(data, page)
    return page
