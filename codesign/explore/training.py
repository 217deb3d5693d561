"""The full trainings of a search: several networks in parallel, cut to a time limit."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.build import pipeline, weights
from codesign.build.floats import quantising
from codesign.compiler import accumulator_bits
from codesign.design import Design
from codesign.explore.choice import Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.folder import read_stored, short_weights
from codesign.explore.search import Progress
from codesign.prediction import accumulator_of
from codesign.search.accuracy.short_training import ShortTraining, TrainingTask, trained_network
from codesign.tools.workers import Pool
from models.errors import DivergedError
from models.files import json_io
from models.integer.bits import network_bits, total
from models.integer.lower import lower
from models.training.history import settled_accuracy

if TYPE_CHECKING:
    from models.training.schedule import TrainSettings
    from models.training.trained import TrainedNetwork

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
    start: int = 0
    """Which of the networks that are given it is made of (``Genome.start``)."""


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
    blind = wanted.blind
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
    wanted = wanted.of(task.start)
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
    """Return a network trained in full, or the short training's where that failed or is better."""
    if task.epochs == 0:
        return _short_network(task, wanted)
    try:
        trained = _fully(task, tell, wanted)
    except DivergedError as error:
        _note(f"the full training diverged ({error})", task, wanted)
        return _short_network(task, wanted)
    if trained.validation_accuracy < task.short.accuracy:
        return _better(trained, task, wanted)
    return trained


def _fully(
    task: FullTraining, tell: Callable[[Told], None], wanted: FinishSettings
) -> TrainedNetwork:
    name, checkpoint = task.design.name, _checkpoint(task, wanted)
    teacher = wanted.settings.teacher

    def progress(done: int, epochs: int, loss: float, accuracy: float, left_s: float) -> None:
        tell((name, done, epochs, accuracy))

    if wanted.given:
        assert task.epochs is not None
        return quantising.finetune(
            wanted.given[0], task.design, _short_network(task, wanted), task.epochs, checkpoint,
            progress, task.threads,
        )  # fmt: skip
    return pipeline.train_design(
        task.design,
        wanted.dataset,
        settings_of(task, wanted),
        teacher=weights.read(Path(teacher)) if teacher else None,
        checkpoint=checkpoint,
        progress=progress,
    )


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
    ended = f"the full training ended at {100 * full:.2f} % validation accuracy, below the short"
    _note(f"{ended} one's {100 * short:.2f} %", task, wanted)
    return again


def _note(why: str, task: FullTraining, wanted: FinishSettings) -> None:
    """Store a note that the short training's network is delivered, and why."""
    note = f"{why}: the short training's network is delivered"
    json_io.write(_notes_file(task.design, wanted), {"notes": [note]})


def _short_network(task: FullTraining, wanted: FinishSettings) -> TrainedNetwork:
    """Return the network as its short training left it.

    Searches of release 0.2 and older kept no weights: then the training is repeated, which gives
    the same ones.
    """
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    kept, design = short_weights(wanted.settings.out, task.key), task.design
    if kept.exists() or wanted.given:
        found = TrainedNetwork.load(kept)
        # The same network under the name that the search gave it.
        return TrainedNetwork(design.network, design.quantisation, found.network, found.history)
    assert isinstance(wanted.short, ShortTraining)
    given = design.network, design.quantisation, design.npu.scale_bits
    short = TrainingTask(task.key, *given, accumulator_of(design))
    return trained_network(short, wanted.short.subset(wanted.dataset), wanted.short)[0]


def has_begun(task: FullTraining, wanted: FinishSettings) -> bool:
    """Return True if an earlier run has trained a network, or begun to."""
    return weights_file(task.design, wanted).exists() or _checkpoint(task, wanted).exists()


def _checkpoint(task: FullTraining, wanted: FinishSettings) -> Path:
    return wanted.training / f"{task.design.name}.checkpoint"


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


def widened(design: Design, weights: TrainedNetwork) -> tuple[Design, bool]:
    """Return the design with accumulators wide enough for the trained weights; True if it changed.

    Accumulators are sized for any weights, or training keeps to them. So only a bias much larger
    than its layer's sums needs wider ones, or a network whose last training was of another NPU.
    """
    _, integer = lower(weights, design.npu.scale_bits)
    need = accumulator_bits(integer, design.npu)
    if need <= design.npu.accumulator_bits:
        return design, False
    npu = dataclasses.replace(design.npu, accumulator_bits=need)
    return dataclasses.replace(design, npu=npu), True
