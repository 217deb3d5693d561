"""``explore``: the whole run from settings to summary.json, report and result."""

from __future__ import annotations

import dataclasses
import hashlib
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from codesign.build import pipeline, verification, weights
from codesign.build.floats.subjects import Subject
from codesign.build.verification import SimulationError
from codesign.cost.area import model_file
from codesign.explore import finish as finishing
from codesign.explore import folds
from codesign.explore.approach import Approach, FromScratch
from codesign.explore.building import FinishedDesign, write_report
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import SearchFolder, stored_identity
from codesign.explore.given import folders, reading
from codesign.explore.given.changes import layer_changes
from codesign.explore.given.folders import LeftOut, Member
from codesign.explore.given.hot_start import HotStart
from codesign.explore.given.zoo import Zoo
from codesign.explore.replacing import FRONT, SUMMARY, TRIALS
from codesign.explore.search import Progress, Search
from codesign.explore.settings import ExploreSettings
from codesign.explore.stages import StageClock
from codesign.explore.telling.shown import shown_candidates
from codesign.explore.telling.summary import empty_summary, front, full_summary
from codesign.fpga import yosys
from codesign.fpga.yosys import YosysError
from codesign.report.data import Candidate
from codesign.results import InfeasibleError, UserError
from codesign.search.accuracy import earlier
from codesign.search.accuracy.short_training import MODULES, ShortTraining
from codesign.search.accuracy.transfer import Source
from codesign.search.engine import Problem
from codesign.search.space import given
from codesign.search.space.declaration import (
    SpaceDeclaration,
    load_declaration,
    shipped_name,
    with_every_multiplier,
)
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import Genome
from codesign.search.standing import Standing
from codesign.search.store import TrialStore
from codesign.search.studies import SEARCHING, STATE, VERSION, check_settings, stored_settings
from codesign.search.trials import objectives
from codesign.tools import caches
from codesign.tools.workers import Pool
from models.data.datasets import Dataset
from models.files import json_io

Given = Subject | tuple[Sequence[Member], Sequence[LeftOut]] | None
"""What a search starts from: a network, those of a zoo and what is left out of it, or none."""


@dataclass(frozen=True)
class ExploreResult:
    """Outcome of a search that found a feasible design. Made by ``explore``."""

    status: int
    """Exit status of the command: 0 good, 1 simulation mismatch or budget missed by synthesis."""
    problem: str | None
    """One sentence when status is 1, else None."""
    candidates: tuple[Candidate, ...]
    """Trained networks on NPUs within the budget, with ``on_front`` and ``chosen`` set."""
    finished: FinishedDesign
    summary: dict[str, Any]
    """Content of summary.json."""


def explore(
    settings: ExploreSettings,
    progress: Progress,
    warn: Callable[[str], None] = lambda text: None,
    tell: Callable[[Standing], None] = lambda standing: None,
) -> ExploreResult:
    """Search, train, build, synthesise and verify; write summary.json and the report.

    progress: called with (stage, steps done, steps in all, note). warn is called with one sentence
    for each thing that the user may not have meant, such as replacing an earlier search, or that
    was guessed of the data; tell with what the search has reached after each short training. A
    search that is in the folder stays as it is until a design meets the budget. Everything is
    written below ``settings.out``.

    Raises InfeasibleError (nothing meets the budget, with reasons), YosysError and SimulationError
    (a tool failed) after writing them to summary.json, unless that is another search's. Raises
    UserError, YamlError and DatasetError for bad input, a missing tool or a search that is running
    in the folder, as a rule before anything is written; BrokenExecutor when a worker process died.
    """
    start = time.monotonic()
    with SearchFolder(settings.out, warn) as folder:
        yosys.find()
        verification.check_tools()
        model = model_file.read(settings.area_model) if settings.area_model else model_file.load()
        given, dataset = _data(settings, progress, warn)
        caches.keep_torch_code()  # of the workers, too: torch makes its folder by any optimizer
        settings = dataclasses.replace(settings, training=settings.training.settled(dataset))
        settings.training.augmentation(dataset)  # raises before any work if it cannot be
        folds.check(settings.folds, dataset)  # so does this
        trains = given is None or settings.finetune > 0
        for note in (*dataset.notes, *(settings.training.notes(dataset) if trains else ())):
            warn(note)  # now, as the summary has them only when hours have passed
        if settings.teacher is not None:
            said = weights.told_of_teacher(Path(settings.teacher), dataset)
            warn(said)
            settings = dataclasses.replace(settings, notes=(*settings.notes, said))
        approach, space = _approach(settings, dataset, given, progress)  # so do earlier searches
        problem = Problem(
            space,
            model,
            settings.budget,
            settings.family,
            area_confidence=settings.area_confidence,
            goals=settings.goals,
        )
        if isinstance(approach, Zoo):
            read = len(approach.left_out)
            approach, problem = approach.within(problem, settings)
            _tell_left_out(approach.left_out[read:], warn)
        stored = stored_settings(settings.place) if settings.storage else None
        identity = folder.open(settings, settings.identity(space.declared(), dataset))
        if stored is not None:
            check_settings(settings.place, stored, identity)
        try:
            result = _search_and_finish(
                settings, problem, dataset, approach, folder, identity, progress, tell, start
            )
        except InfeasibleError as error:
            told = {"status": 3, "problem": str(error), "reasons": error.to_list(), **error.details}
            told |= _zoo(approach)
            if folder.claimed:
                json_io.write(settings.out / SUMMARY, {**empty_summary(settings, start), **told})
            else:
                warn(f"{settings.out} keeps the search that it holds")
            raise
        except (YosysError, SimulationError) as error:
            told = {"status": 1, "problem": str(error), **_zoo(approach)}
            json_io.write(settings.out / SUMMARY, {**empty_summary(settings, start), **told})
            raise
        json_io.write(settings.out / SUMMARY, result.summary)
        if result.status == 0:
            folder.finish()
        return result


def earlier_sources(settings: ExploreSettings, dataset: Dataset) -> list[Source]:
    """Return the trained networks of the shipped studies and of ``settings.warm_start``.

    Raises UserError for a folder that holds no search, or none with usable trials.
    """
    for run in map(Path, settings.warm_start):
        if run.resolve() == settings.out.resolve():
            raise UserError(f"{run} is the folder of this search; to go on with it, use --resume")
        if stored_identity(run, "--warm-start") is None:
            raise UserError(f"{run} holds no search")
    journals = [Path(run) / TRIALS for run in settings.warm_start]
    return earlier.sources(journals, _name(settings, dataset), dataset.sha256)


def _name(settings: ExploreSettings, dataset: Dataset) -> str:
    """Return the name of the images, that of a known set if they are recognised as it."""
    return dataset.known_as or settings.dataset


def _data(
    settings: ExploreSettings, progress: Progress, warn: Callable[[str], None]
) -> tuple[Given, Dataset]:
    """Return the network or networks that the search starts from, if any, and the data set."""

    def told(done: int, total: int) -> None:
        progress("reading images", done, total, "")

    if settings.zoo:
        members, left_out = folders.read_all(settings, told)
        _tell_left_out(left_out, warn)
        return (members, left_out), members[0].given.dataset
    if settings.network is not None:
        given = reading.read(settings, told)
        return given, given.dataset
    return None, pipeline.load_data(settings.data, settings.data_dir, settings.seed, told)


def _approach(
    settings: ExploreSettings, dataset: Dataset, start: Given, progress: Progress
) -> tuple[Approach, Genome]:
    """Return how networks are judged, and the space that they are chosen from.

    start: what the search starts from; None: networks are trained from scratch.
    Raises UserError and DatasetError for a bad space file, network or earlier search.
    """
    declaration = _declaration(settings, dataset)
    if start is None:
        known = earlier_sources(settings, dataset)
        how = ShortTraining.of(dataset, settings.seed, settings.boo, settings.training)
        space = SearchSpace(declaration, dataset.shape, dataset.classes)
        return FromScratch(how, dataset, _name(settings, dataset), known), space
    bits = declaration.bits if settings.space else given.BITS
    if isinstance(start, Subject):
        hot = HotStart.of(settings, start, progress)
        return hot, hot.space(bits, declaration.npu)
    zoo = Zoo.of(settings, *start, progress)
    return zoo, zoo.space(bits, declaration.npu)


def _tell_left_out(left_out: Sequence[LeftOut], warn: Callable[[str], None]) -> None:
    for one in left_out:
        warn(f"{one.path} is left out of the zoo: {one.reason}")


def _zoo(approach: Approach, finished: FinishedDesign | None = None) -> dict[str, Any]:
    """Return what summary.json has of a zoo: nothing of other searches."""
    return {"zoo": approach.summary(finished)} if isinstance(approach, Zoo) else {}


def _search_and_finish(
    settings: ExploreSettings,
    problem: Problem,
    dataset: Dataset,
    approach: Approach,
    folder: SearchFolder,
    identity: dict[str, Any],
    progress: Progress,
    tell: Callable[[Standing], None],
    start: float,
) -> ExploreResult:
    """Run all steps after the input is read; ``start`` is time.monotonic() at the run's start.

    identity: content of explore.json, which the trials must be of. Writes front.json and the
    report, not summary.json. Raises as ``explore`` does.
    """
    wished = objectives(settings.goals, one_bits=settings.one_bits)

    def open_store() -> TrialStore:
        folder.claim()
        store = TrialStore(settings.place, identity, wished, _worker_name(settings.out))
        store.note(VERSION, metadata.version("codesign"))
        store.note(STATE, SEARCHING)
        return store

    clock = StageClock()
    clock.seconds["preparation"] = time.monotonic() - start
    workers = settings.jobs if settings.jobs > 1 else 0
    with Pool(workers, imports=MODULES) as pool:
        pool.prepare(workers)  # they come up beside the first estimates
        search = Search(
            settings, problem, dataset, open_store, approach, pool, progress, tell, clock
        )
        trained = search.run()
        left_s = None
        if settings.time_limit_s is not None:
            left_s = settings.time_limit_s - (time.monotonic() - start)
        wanted = FinishSettings(settings, dataset, search.approach.how, left_s, notes=search.notes)
        if isinstance(approach, HotStart | Zoo):
            wanted = approach.finishing(wanted)
        finished = finishing.finish(problem, trained, wanted, pool, progress, clock)
    candidates = shown_candidates(
        finished.problem, finished.networks, finished.option, one_bits=settings.one_bits
    )
    json_io.write(settings.out / FRONT, {"candidates": [dataclasses.asdict(c) for c in candidates]})
    with clock.timed("report"):
        page = write_report(finished, wanted, candidates)
    told = full_summary(settings, finished, page, start)
    summary = {**told, "front": front(candidates), "search": search.inner.summary()}
    summary |= _zoo(approach, finished)
    if wanted.given and finished.option is not None and finished.estimate is not None:
        start = finished.problem.space.start(finished.option.candidate)
        graph = wanted.given[start].network.graph
        summary["layers"] = layer_changes(graph, finished.estimate.plan)
    return ExploreResult(finished.status, finished.failure, tuple(candidates), finished, summary)


def _worker_name(out: Path) -> str:
    """Return the name of the search in a folder, which is locked, among the workers of a study."""
    folder = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:8]
    return f"explore-{socket.gethostname()}-{folder}"


def _declaration(settings: ExploreSettings, dataset: Dataset) -> SpaceDeclaration:
    """Load the search space: a file, or a shipped one.

    A shipped one is with all DSP forms unless the budget allows no DSPs. Raises YamlError.
    """
    if settings.space is not None and settings.space.endswith((".yaml", ".yml")):
        return load_declaration(Path(settings.space))
    found = load_declaration(settings.space or shipped_name(dataset.shape))
    return found if settings.budget.dsps == 0 else with_every_multiplier(found)
