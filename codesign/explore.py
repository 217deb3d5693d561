"""explore: from a budget and a data set to a verified NPU, restartable at every step.

    SearchSpace -> candidates -> pruned by the budget -> short trainings -> front -> chosen design
    -> full training -> program and Verilog -> synthesis -> verification -> summary and report

Everything lands in one folder: trials.journal (the Optuna study), front.json, training/, build/,
summary.json. docs/search.md explains the steps and the rule of choice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import resource
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign import devices, explore_choice, explore_finish, verify, yosys
from codesign.cost import model_file
from codesign.cost.area import AreaModel
from codesign.devices import Device
from codesign.explore_finish import Finished
from codesign.explore_search import Progress, Search
from codesign.report.data import Candidate
from codesign.results import GUARD, Budget, InfeasibleError, UserError
from codesign.search.engine import Problem
from codesign.search.short_training import ShortTraining
from codesign.search.space import (
    SearchSpace,
    SpaceDeclaration,
    load_declaration,
    shipped_name,
    with_every_multiplier,
)
from codesign.search.store import TrialStore
from codesign.search.strategies import STRATEGIES
from codesign.verify import SimulationError
from codesign.yosys import YosysError
from models import datasets
from models.datasets import Dataset
from models.files import atomic_file

SETTINGS, TRIALS, FRONT, SUMMARY = "explore.json", "trials.journal", "front.json", "summary.json"
BUILD, TRAINING = "build", "training"
FORMAT = "codesign explore 1"
"""Stands in explore.json: a folder without it is none of ours and stays as it is."""


@dataclass(frozen=True)
class ExploreSettings:
    """What to look for and where. Raises UserError for a senseless value."""

    budget: Budget
    out: Path
    device: Device | None = None
    """For project files, capacities in the report, and the synthesis family."""
    dataset: str = "digits"
    data_dir: Path | None = None
    space: str | None = None
    """A space file (*.yaml) or the name of a shipped one; None: by the size of the images."""
    strategy: str = "evolution"
    guard: float = GUARD
    """Share of NPUs whose area the budget test is not to underestimate."""
    area_model: Path | None = None
    """A model file (codesign.cost.model_file); None: the shipped data's."""
    seed: int = 0
    networks: int = 14
    """Networks that are trained briefly and compared."""
    epochs: int | None = None
    """Of the full training; None: by the size of the data set."""
    images: int = 64
    """Test images to verify in simulation."""
    time_limit_s: float | None = None
    """For search and training; the result then depends on the speed of the machine."""
    jobs: int = 2
    resume: bool = False

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise UserError(
                f"strategy must be one of {', '.join(STRATEGIES)}, not {self.strategy!r}"
            )
        for name in ("networks", "images", "jobs"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be >= 1, not {getattr(self, name)}")
        if self.seed < 0:
            raise UserError(f"seed must be >= 0, not {self.seed}")

    def identity(self, declaration: SpaceDeclaration, dataset: Dataset) -> dict[str, Any]:
        """What decides the result: a resumed search must agree in all of it."""
        plain = dataclasses.asdict(self)
        for name in (
            "out",
            "data_dir",
            "jobs",
            "resume",
            "time_limit_s",
            "device",
            "space",
            "area_model",
        ):
            del plain[name]
        space = dataclasses.asdict(declaration)
        plain["device"] = self.device.name if self.device else None
        plain["data_sha256"] = dataset.sha256
        plain["area_model_sha256"] = (
            hashlib.sha256(self.area_model.read_bytes()).hexdigest() if self.area_model else None
        )
        content: dict[str, Any] = json.loads(
            json.dumps({"format": FORMAT, **plain, "space": space})
        )
        return content


@dataclass(frozen=True)
class ExploreResult:
    """What came out; ``status`` is the exit status: 0 all good, 1 mismatch or budget missed."""

    status: int
    problem: str | None
    """One sentence when status is 1."""
    candidates: tuple[Candidate, ...]
    """The trained networks on NPUs within the budget; ``on_front`` and ``chosen`` marked."""
    finished: Finished
    summary: dict[str, Any]
    """The content of summary.json."""


def explore(
    settings: ExploreSettings, progress: Progress, warn: Callable[[str], None] = lambda text: None
) -> ExploreResult:
    """Search, train, build, synthesise, verify; write summary.json and the report.

    warn is told in one sentence what the user may not have meant, such as a search that is
    replaced. Raises InfeasibleError (nothing meets the budget, with reasons), YosysError and
    SimulationError (a tool failed): these are in summary.json, too. Raises UserError, YamlError,
    DatasetError (bad input, a missing tool), which leave the folder as it was.
    """
    start = time.monotonic()
    yosys.find()
    verify.check_tools()
    model = model_file.read(settings.area_model) if settings.area_model else AreaModel.load()
    dataset = datasets.load(
        settings.dataset,
        settings.data_dir,
        settings.seed,
        lambda done, total: progress("reading images", done, total, ""),
    )
    declaration = _declaration(settings, dataset)
    _open_folder(settings, settings.identity(declaration, dataset), warn)
    try:
        result = _search_and_finish(settings, model, dataset, declaration, progress, start)
    except InfeasibleError as error:
        told = {"status": 3, "problem": str(error), "reasons": error.to_list()}
        _write_json(settings.out / SUMMARY, {**_empty_summary(settings, start), **told})
        raise
    except (YosysError, SimulationError) as error:
        told = {"status": 1, "problem": str(error)}
        _write_json(settings.out / SUMMARY, {**_empty_summary(settings, start), **told})
        raise
    _write_json(settings.out / SUMMARY, result.summary)
    return result


def _search_and_finish(
    settings: ExploreSettings,
    model: AreaModel,
    dataset: Dataset,
    declaration: SpaceDeclaration,
    progress: Progress,
    start: float,
) -> ExploreResult:
    """``start``: of the whole run, by time.monotonic()."""
    space = SearchSpace(declaration, dataset.shape, dataset.classes)
    family = devices.family_of(settings.device)
    problem = Problem(space, model, settings.budget, family, guard=settings.guard)
    how = ShortTraining.of(dataset, settings.seed)
    store = TrialStore(settings.out / TRIALS, settings.identity(declaration, dataset))
    trained = Search(
        problem,
        dataset,
        store,
        how,
        networks=settings.networks,
        strategy=settings.strategy,
        seed=settings.seed,
        jobs=settings.jobs,
        time_limit_s=settings.time_limit_s,
        progress=progress,
    ).run()
    left_s = None
    if settings.time_limit_s is not None:
        left_s = settings.time_limit_s - (time.monotonic() - start)
    plan = explore_finish.Plan(
        name=_name(settings.dataset),
        budget=settings.budget,
        device=settings.device,
        dataset=dataset,
        short=how,
        seed=settings.seed,
        epochs=settings.epochs,
        time_left_s=left_s,
        images=settings.images,
        jobs=settings.jobs,
        training=settings.out / TRAINING,
        builds=settings.out / BUILD,
    )
    finished = explore_finish.finish(problem, trained, plan, progress)
    candidates = explore_choice.shown_candidates(finished.problem, trained, finished.option)
    _write_json(settings.out / FRONT, {"candidates": [dataclasses.asdict(c) for c in candidates]})
    page = explore_finish.write_report(finished, plan, candidates)
    summary = _summary(settings, finished, len(trained), page, start)
    return ExploreResult(finished.status, finished.failure, tuple(candidates), finished, summary)


def _declaration(settings: ExploreSettings, dataset: Dataset) -> SpaceDeclaration:
    """The file given; or a shipped space, to which a budget of DSP slices adds all their forms."""
    if settings.space is not None and settings.space.endswith((".yaml", ".yml")):
        return load_declaration(Path(settings.space))
    found = load_declaration(settings.space or shipped_name(dataset.shape))
    return found if settings.budget.dsps == 0 else with_every_multiplier(found)


def _open_folder(
    settings: ExploreSettings, wanted: dict[str, Any], warn: Callable[[str], None]
) -> None:
    """Make the folder, go on in it, or start it afresh.

    Raises UserError when it holds something else, or a search with other settings to resume.
    """
    out, marker = settings.out, settings.out / SETTINGS
    stored = _stored_settings(out)
    if settings.resume and stored is not None:
        if stored != wanted:
            changed = sorted(k for k in {*stored, *wanted} if stored.get(k) != wanted.get(k))
            raise UserError(
                f"{out} holds a search with other {', '.join(changed)}; "
                "start without --resume, or with another --out"
            )
        return
    if settings.resume:
        warn(f"{out} holds no search to resume: this one starts from the beginning")
    if stored is not None:
        warn(f"{out} held a search, which this one replaces; --resume would have gone on with it")
        for name in (SUMMARY, FRONT, TRIALS):
            (out / name).unlink(missing_ok=True)
        for name in (TRAINING, BUILD):
            shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    _write_json(marker, wanted)


def _stored_settings(out: Path) -> dict[str, Any] | None:
    """The settings of the search in ``out``, None where there is nothing.

    Raises UserError when there is something else.
    """
    foreign = UserError(f"{out} holds something else than a search; choose another --out")
    if not out.exists():
        return None
    if not out.is_dir():
        raise foreign
    # A kill in the first moment leaves only the beginnings of the marker.
    if all(path.name.startswith(f".{SETTINGS}.") for path in out.iterdir()):
        return None
    try:
        stored = json.loads((out / SETTINGS).read_text())
    except (OSError, ValueError):
        raise foreign from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT:
        raise foreign
    return stored


def _name(dataset: str) -> str:
    """A design name from a data set's: its stem, letters, digits and dashes only."""
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in Path(dataset).stem)
    stem = stem.strip("-")[:40]
    return stem if stem[:1].isalpha() else f"net-{stem}"


def _empty_summary(settings: ExploreSettings, start: float) -> dict[str, Any]:
    """The stable content of summary.json of a run that found nothing."""
    return {
        "status": 0,
        "problem": None,
        "design": None,
        "build": None,
        "report": None,
        "dataset": settings.dataset,
        "seed": settings.seed,
        "accuracy": {},
        "estimate": {},
        "simulated": {},
        "synthesised": {},
        "budget": {k: v for k, v in dataclasses.asdict(settings.budget).items() if v is not None},
        "wall_seconds": round(time.monotonic() - start, 1),
        "peak_memory_bytes": _peak_memory_bytes(),
    }


def _summary(
    settings: ExploreSettings, finished: Finished, trained: int, page: Path | None, start: float
) -> dict[str, Any]:
    """The content of summary.json; paths are relative to its folder."""
    out = settings.out

    def relative(path: Path | None) -> str | None:
        return None if path is None else str(path.relative_to(out))

    simulated = finished.verification
    return {
        **_empty_summary(settings, start),
        "status": finished.status,
        "problem": finished.failure,
        "design": relative(finished.build and finished.build / "design.yaml"),
        "build": relative(finished.build),
        "report": relative(page),
        "accuracy": finished.accuracy,
        "estimate": finished.estimate.figures.to_dict() if finished.estimate else {},
        "simulated": {
            **simulated.figures.to_dict(),
            "images": simulated.images,
            "bit_exact": simulated.bit_exact,
        }
        if simulated
        else {},
        "synthesised": finished.synthesised.figures.to_dict() if finished.synthesised else {},
        "networks_trained": trained,
        "attempts": finished.attempts,
        "stage_seconds": finished.stage_seconds,
    }


def _peak_memory_bytes() -> int:
    """The most that this process held, and beside it the largest of those that it started."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return 1024 * sum(resource.getrusage(one).ru_maxrss for one in who)


def _write_json(path: Path, content: Any) -> None:
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=1) + "\n").encode())
