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
from typing import TYPE_CHECKING

from codesign import build, devices, pipeline, report, synth, verify
from codesign.compiler import accumulator_bits
from codesign.design import Design
from codesign.devices import Device
from codesign.explore_choice import Option, Trained, best_option
from codesign.explore_search import Progress
from codesign.pipeline import DesignEstimate, Lowered
from codesign.report import Candidate, collect
from codesign.results import Budget, Infeasible, InfeasibleError
from codesign.search.candidates import to_design
from codesign.search.engine import Problem
from codesign.search.short_training import ShortTraining
from codesign.search.topology import network_key
from codesign.synth import Synthesis
from codesign.verify import Verification
from models.datasets import Dataset
from models.files import atomic_file
from models.lower import lower
from rtl_gen import emit
from sim.process import kill_all

if TYPE_CHECKING:
    from models.train import TrainedNetwork

MAX_ATTEMPTS = 4
"""Designs that are synthesised before the search gives up on the budget."""
LEAST_EPOCHS = 4
TRAINING_SHARE = 0.7
"""Of the time left that the full training may plan for."""


@dataclass(frozen=True)
class Plan:
    """What the finishing part is to do."""

    name: str
    budget: Budget
    device: Device | None
    dataset: Dataset
    short: ShortTraining
    seed: int
    epochs: int | None
    time_left_s: float | None
    images: int
    jobs: int
    training: Path
    builds: Path

    @property
    def family(self) -> str:
        return devices.family_of(self.device)


@dataclass
class Finished:
    """How far it came. Without a design that fits after synthesis, ``build`` is None."""

    problem: Problem
    """With the area factor that synthesis taught."""
    option: Option | None = None
    estimate: DesignEstimate | None = None
    build: Path | None = None
    accuracy: dict[str, float] = field(default_factory=dict)
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
    problem: Problem, trained: Sequence[Trained], plan: Plan, progress: Progress
) -> Finished:
    """Work down the ranking until a design meets the budget after synthesis, then verify it.

    Raises InfeasibleError when the compiler refuses every design.
    """
    done = Finished(problem)
    refused: set[bytes] = set()
    reasons: tuple[Infeasible, ...] = ()
    while len(done.attempts) < MAX_ATTEMPTS:
        option = best_option(done.problem, trained, frozenset(refused))
        if option is None:
            break
        refused.add(option.candidate.tobytes())
        try:
            design = _design(done.problem, option, plan)
        except InfeasibleError as error:
            reasons = error.reasons
            continue
        if _attempt(done, option, design, plan, progress):
            return done
    if not done.attempts:
        raise InfeasibleError(reasons)
    tried = ", ".join(f"{one['luts']:,.0f} LUTs" for one in done.attempts)
    done.failure = f"the budget is missed after synthesis: {tried}"
    return done


def _design(problem: Problem, option: Option, plan: Plan) -> Design:
    """The option as a design. Raises InfeasibleError when exact numbers break the budget."""
    design = to_design(
        problem.space,
        option.candidate,
        option.evaluated.estimate.npu.config(option.row),
        name=f"{plan.name}-{network_key(problem.space, option.candidate)}",
        seed=plan.seed,
        dataset=plan.dataset.name,
        clock_mhz=plan.budget.clock_mhz,
    )
    exact = pipeline.estimate_design(design, plan.family).figures
    have, need = plan.budget.brams, exact.brams
    if have is not None and need is not None and need > have:
        levers = ("raise --bram-budget",)
        raise InfeasibleError((Infeasible("brams", design.name, need, have, "block RAMs", levers),))
    return design


def _attempt(
    done: Finished, option: Option, design: Design, plan: Plan, progress: Progress
) -> bool:
    """Train and synthesise, side by side where two processes may run; build and verify what fits.

    False: over the budget.
    """
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(_synthesise, design, plan) if plan.jobs > 1 else None
        try:
            with done.timed("training"):
                weights = _train(design, option.trained, plan, progress)
                design, integer_bits = _widened(design, weights)
            progress("synthesis", 0, 1, f"{design.npu.macs} products")
            with done.timed("synthesis"):
                if future:
                    measured = future.result()
                if not future or integer_bits:
                    measured = _synthesise(design, plan)
        except BaseException:
            kill_all()  # else the pool waits for Yosys before the interrupt is heard
            raise
        progress("synthesis", 1, 1, f"{measured.figures.luts:,.0f} LUTs")
    done.option, done.synthesised = option, measured
    done.estimate = pipeline.estimate_design(design, plan.family)
    over = _over(measured, plan.budget)
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
        done.build = _build(design, lowered, measured, plan)
        done.accuracy = _scores(done.build)
    with done.timed("verification"):
        progress("verification", 0, 1, f"{plan.images} images")
        done.verification = _verify(done.build, design, plan)
        progress("verification", 1, 1, "")
    if not done.verification.passed:
        done.failure = done.verification.failure or "verification failed"
    return True


def _over(measured: Synthesis, budget: Budget) -> list[str]:
    """Names of the resources of which synthesis found too many."""
    return [
        name
        for name in ("luts", "ffs", "brams", "dsps")
        if (limit := getattr(budget, name)) is not None and getattr(measured.figures, name) > limit
    ]


def _ratio(estimate: DesignEstimate, measured: Synthesis) -> float:
    """Measured over estimated, of the resource that was estimated worst."""
    pairs = [
        (getattr(measured.figures, name), getattr(estimate.figures, name))
        for name in ("luts", "ffs")
    ]
    return max(found / guessed for found, guessed in pairs if guessed)


def _synthesise(design: Design, plan: Plan) -> Synthesis:
    return synth.synthesise(
        emit.verilog(design.npu),
        dsps=design.npu.uses_dsps,
        family=plan.family,
    )


def _train(design: Design, short: Trained, plan: Plan, progress: Progress) -> TrainedNetwork:
    """The full training of the design's network, or its weights if they are on disk."""
    from models.train import TrainedNetwork  # torch takes seconds to import

    weights = plan.training / f"{design.name}.weights"
    if weights.exists():
        return TrainedNetwork.load(weights)
    settings = pipeline.settings_of(design, plan.dataset, _epochs(design, short, plan))

    def epoch(done: int, total: int, loss: float, accuracy: float, left_s: float) -> None:
        progress("training", done, total, f"validation {100 * accuracy:.2f} %")

    progress("training", 0, settings.epochs, "")
    weights.parent.mkdir(parents=True, exist_ok=True)
    trained = pipeline.train_design(
        design,
        plan.dataset,
        settings,
        checkpoint=plan.training / f"{design.name}.checkpoint",
        progress=epoch,
    )
    trained.save(weights)
    return trained


def _epochs(design: Design, short: Trained, plan: Plan) -> int | None:
    """Epochs of the full training; decided once for a network, so that a resumed run agrees."""
    if plan.time_left_s is None:
        return plan.epochs
    path = plan.training / f"{design.name}.json"
    if path.exists():
        return int(json.loads(path.read_text())["epochs"])
    per_image = short.seconds / (plan.short.epochs * plan.short.train_images)
    affordable = TRAINING_SHARE * plan.time_left_s / (per_image * len(plan.dataset.train))
    wanted = pipeline.settings_of(design, plan.dataset, plan.epochs).epochs
    epochs = min(wanted, max(int(affordable), LEAST_EPOCHS))
    with atomic_file(path) as file:
        file.write(json.dumps({"epochs": epochs}).encode())
    return epochs


def _widened(design: Design, weights: TrainedNetwork) -> tuple[Design, bool]:
    """The design with accumulators that hold the trained network; and whether that changed it.

    They are sized for any weights, so only a bias far beyond its layer's sums can ask for more.
    """
    _, integer = lower(weights, design.npu.scale_bits)
    need = accumulator_bits(integer, design.npu.activation_offset)
    if need <= design.npu.accumulator_bits:
        return design, False
    npu = dataclasses.replace(design.npu, accumulator_bits=need)
    return dataclasses.replace(design, npu=npu), True


def _build(design: Design, lowered: Lowered, measured: Synthesis, plan: Plan) -> Path:
    """The build folder, with synthesis in its reports."""
    out = plan.builds / design.name
    reports = {collect.SYNTHESIS: synth.to_dict(measured)}
    return pipeline.write_build(
        design, lowered, plan.dataset, out, device=plan.device, reports=reports,
        images=min(plan.images, len(plan.dataset.test)),
    )  # fmt: skip


def _scores(folder: Path) -> dict[str, float]:
    scores = json.loads((folder / "reports" / f"{collect.ACCURACY}.json").read_text())
    return {name: float(scores[name]) for name in ("validation", "test")}


def _verify(folder: Path, design: Design, plan: Plan) -> Verification:
    found = verify.verify(
        folder,
        images=min(plan.images, len(plan.dataset.test)),
        seed=plan.seed,
        jobs=plan.jobs,
        clock_mhz=design.clock_mhz,
    )
    build.add_report(folder, collect.VERIFICATION, found.to_dict())
    return found


def write_report(finished: Finished, plan: Plan, candidates: Sequence[Candidate]) -> Path | None:
    """report.html in the build folder; None when nothing was built."""
    if finished.build is None:
        return None
    data = collect.from_build(
        finished.build,
        budget=plan.budget,
        device=plan.device.name if plan.device else None,
        candidates=candidates,
    )
    page = finished.build / "report.html"
    report.write(data, page)
    return page
