"""The full trainings of a search: several networks in parallel, cut to a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.build import floating, pipeline
from codesign.compiler import accumulator_bits
from codesign.design import Design
from codesign.explore.choice import Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import short_weights
from codesign.explore.search import Progress
from codesign.results import UserError
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, trained_network
from codesign.tools.workers import Pool
from models.files import json_io
from models.files.forms import conform
from models.files.reading import read_json, told_as
from models.integer.bits import network_bits, total
from models.integer.lower import lower
from models.training.history import settled_accuracy

if TYPE_CHECKING:
    from models.training.schedule import TrainSettings
    from models.training.trained import TrainedNetwork

LEAST_EPOCHS = 4
"""Fewest epochs of a full training, even when the time is up, unless fewer are asked for."""
TRAINING_SHARE = 0.7
"""Fraction of the remaining time that the full trainings may plan for."""
MOST_TIMES = 4
"""Most times the epochs chosen by the size of the data set that a time limit has room for."""
PLAN = "plan.json"
"""File in the folder of trainings: what a time limit left of them, for a resumed run."""
_PLAN_FORM = {"networks": range(1, 1_000), "epochs": range(1_000_000), "notes": [str]}
Told = tuple[str, int, int, float]
"""After an epoch: design, epochs done, epochs in all, validation accuracy (0..1)."""


@dataclass(frozen=True)
class FullTraining:
    """One network to train in full, planned for an NPU. Its files have the design's name."""

    key: str
    """Hash of the network (genome.network_key)."""
    design: Design
    short: Trained
    epochs: int | None
    """None: chosen by the size of the data set; 0: the network stays as its trial left it."""
    threads: int | None
    """Threads of torch; None: as the recipe of the image size has it."""


@dataclass(frozen=True)
class Plan:
    """Number of finalists that are trained in full, and the epochs of each. Made by ``plan``."""

    networks: int
    epochs: int | None
    notes: tuple[str, ...] = ()
    """A sentence for each thing that the time limit has cut."""


def plan(finalists: Sequence[tuple[Design, Trained]], wanted: FinishSettings) -> Plan:
    """Fit the full trainings of the finalists, the most promising first, into the time limit.

    First, fewer networks are trained; when one alone does not fit TRAINING_SHARE of the time left,
    by the pace of its short training, it is trained for fewer epochs, at least LEAST_EPOCHS. Time
    that all of them leave goes into more epochs, unless their number was asked for. What was
    planned is stored, so that a resumed run does the same. Raises UserError if that is damaged.
    """
    epochs = wanted.epochs
    if wanted.time_left_s is None:
        return Plan(len(finalists), epochs)
    path = wanted.training / PLAN
    if path.exists():
        known = read_stored(path, _PLAN_FORM)
        return Plan(known["networks"], known["epochs"], tuple(known["notes"]))
    full = epochs
    if full is None:
        full = pipeline.settings_of(finalists[0][0], wanted.dataset).epochs
    images = len(wanted.dataset.train)
    paces = [wanted.short.seconds_an_epoch(short.seconds, images) for _, short in finalists]
    left_s = TRAINING_SHARE * wanted.time_left_s

    def seconds_an_epoch(count: int) -> float:
        longest, work = max(paces[:count]), sum(paces[:count]) / wanted.settings.jobs
        return max(longest, work) * wanted.settings.folds

    fitting = (n for n in range(1, len(paces) + 1) if full * seconds_an_epoch(n) <= left_s)
    count = max(fitting, default=1)
    most = full if epochs is not None else MOST_TIMES * full
    room = int(left_s / seconds_an_epoch(count))
    planned = min(most, max(room, min(full, LEAST_EPOCHS)))
    notes = []
    if count < len(paces):
        notes.append(
            f"the time limit cut the networks that are trained in full to {count} of {len(paces)}"
        )
    if planned < full:
        notes.append(f"the time limit cut the full training to {planned} of {full} epochs")
    if planned > full:
        notes.append(
            f"the time limit had room for {planned} epochs of full training instead of {full}"
        )
    found = Plan(count, planned, tuple(notes))
    wanted.training.mkdir(parents=True, exist_ok=True)
    json_io.write(path, dataclasses.asdict(found))
    return found


def train_all(
    tasks: Sequence[FullTraining], wanted: FinishSettings, pool: Pool, progress: Progress
) -> Generator[tuple[FullTraining, Trained]]:
    """Train networks in full on the processes of ``pool``; yield them as they end.

    With each comes its result: the accuracy on all validation images, and one-bits. What an earlier
    run trained is not trained again. With one job, or one task, training runs in this process.
    Raises as ``train`` does. Closing the generator drops trainings that have not ended; their
    checkpoints stay.
    """
    done: dict[str, tuple[int, int]] = {}

    def heard(told: Told) -> None:
        name, *epochs, accuracy = told
        done[name] = (epochs[0], epochs[1])
        at, of = (sum(column) for column in zip(*done.values(), strict=True))
        progress("training", at, of, f"validation {100 * accuracy:.2f} %")

    wanted.training.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        epochs = 0 if task.epochs == 0 else settings_of(task, wanted).epochs
        heard((task.design.name, 0, epochs, 0.0))
    # Training decides between networks, so it must not see the test images at all.
    nothing = wanted.dataset.test.take(np.empty(0, dtype=np.int64))
    blind = wanted.on(dataclasses.replace(wanted.dataset, test=nothing))
    by_name = {task.design.name: task for task in tasks}
    if wanted.settings.jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, train(task, heard, blind)[1]
        return
    work = functools.partial(train, wanted=blind)
    longest_first = sorted(tasks, key=lambda task: -task.short.seconds)
    with contextlib.closing(pool.spread(work, longest_first, heard)) as results:
        for name, result in results:
            yield by_name[name], result


def train(
    task: FullTraining, tell: Callable[[Told], None], wanted: FinishSettings
) -> tuple[str, Trained]:
    """Train one network in full, or read its weights if an earlier run trained it.

    Returns the design's name and the result, whose accuracy is that on all validation images.
    Weights and checkpoint are kept in the folder ``wanted.training``. Raises InfeasibleError if the
    NPU cannot run the network, and ModelError.
    """
    path = weights_file(task.design, wanted)
    trained = load(task.design, wanted) if path.exists() else _trained(task, tell, wanted)
    if not path.exists():
        trained.save(path)
    _, integer = lower(trained, task.design.npu.scale_bits)
    return task.design.name, dataclasses.replace(
        task.short,
        accuracy=trained.evaluate(wanted.dataset.validation),
        one_bits=total(network_bits(integer, {}, 1).values()).ones,
        trained_fully=True,
        settled=settled_accuracy(trained.history),
    )


def settings_of(task: FullTraining, wanted: FinishSettings) -> TrainSettings:
    """Return the settings of a full training, whose epochs are not 0."""
    found = pipeline.settings_of(task.design, wanted.dataset, task.epochs, wanted.settings.boo)
    return dataclasses.replace(found, threads=task.threads or found.threads)


def _trained(
    task: FullTraining, tell: Callable[[Told], None], wanted: FinishSettings
) -> TrainedNetwork:
    if task.epochs == 0:
        return _short_network(task, wanted)
    name = task.design.name
    checkpoint = wanted.training / f"{name}.checkpoint"

    def progress(done: int, epochs: int, loss: float, accuracy: float, left_s: float) -> None:
        tell((name, done, epochs, accuracy))

    if wanted.given is not None:
        assert task.epochs is not None
        trained = floating.finetune(
            wanted.given, task.design, _short_network(task, wanted), task.epochs, checkpoint,
            progress, task.threads,
        )  # fmt: skip
    else:
        trained = pipeline.train_design(
            task.design,
            wanted.dataset,
            settings_of(task, wanted),
            checkpoint=checkpoint,
            progress=progress,
        )
    if trained.validation_accuracy < task.short.accuracy:
        return _better(trained, task, wanted)
    return trained


def _better(trained: TrainedNetwork, task: FullTraining, wanted: FinishSettings) -> TrainedNetwork:
    """Return the better network of a full training and of the short one.

    A full training that a time limit has cut can end below what the search has seen. Both are
    compared on all validation images, and equal ones keep the full one. If the short one's is
    taken, a note is stored.
    """
    again = _short_network(task, wanted)
    validation = wanted.dataset.validation
    short, full = again.evaluate(validation), trained.evaluate(validation)
    if short <= full:
        return trained
    note = (
        f"the full training ended at {100 * full:.2f} % validation accuracy, below the short "
        f"one's {100 * short:.2f} %: the latter's network is delivered"
    )
    json_io.write(_notes_file(task.design, wanted), {"notes": [note]})
    return again


def _short_network(task: FullTraining, wanted: FinishSettings) -> TrainedNetwork:
    """Return the network as its short training left it.

    Searches of release 0.2 and older kept no weights: then the training is repeated, which gives
    the same ones.
    """
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    kept, design = short_weights(wanted.settings.out, task.key), task.design
    if kept.exists() or wanted.given is not None:
        found = TrainedNetwork.load(kept)
        # The same network under the name that the search gave it.
        return TrainedNetwork(design.network, design.quantisation, found.network, found.history)
    assert isinstance(wanted.short, ShortTraining)
    short = TrainingTask(task.key, design.network, design.quantisation, design.npu.scale_bits)
    return trained_network(short, wanted.short.subset(wanted.dataset), wanted.short)


def weights_file(design: Design, wanted: FinishSettings) -> Path:
    """Return the file of a design's fully trained weights."""
    return wanted.training / f"{design.name}.weights"


def load(design: Design, wanted: FinishSettings) -> TrainedNetwork:
    """Return the fully trained network of a design. Raises ModelError or YamlError."""
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    return TrainedNetwork.load(weights_file(design, wanted))


def _notes_file(design: Design, wanted: FinishSettings) -> Path:
    return wanted.training / f"{design.name}.json"


def notes(design: Design, wanted: FinishSettings) -> tuple[str, ...]:
    """Return a sentence for everything that is doubtful of the design's training.

    Raises UserError for a damaged file of notes.
    """
    path = _notes_file(design, wanted)
    return tuple(read_stored(path, {"notes": [str]})["notes"]) if path.exists() else ()


def read_stored(path: Path, form: Any) -> dict[str, Any]:
    """Return the content of a file that an earlier run left. Raises UserError if it is damaged."""
    with told_as(UserError):
        found: dict[str, Any] = read_json(path)
        conform(found, form, str(path))
    return found


def widened(design: Design, weights: TrainedNetwork) -> tuple[Design, bool]:
    """Return the design with accumulators wide enough for the trained weights; True if it changed.

    Accumulators are sized for any weights, so only a bias much larger than its layer's sums needs
    wider ones.
    """
    _, integer = lower(weights, design.npu.scale_bits)
    need = accumulator_bits(integer, design.npu)
    if need <= design.npu.accumulator_bits:
        return design, False
    npu = dataclasses.replace(design.npu, accumulator_bits=need)
    return dataclasses.replace(design, npu=npu), True
