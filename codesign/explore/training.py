"""The full training of the chosen network, with epochs cut to a time limit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.build import pipeline
from codesign.compiler import accumulator_bits
from codesign.design import Design
from codesign.explore.choice import Trained
from codesign.explore.finish_settings import FinishSettings
from codesign.explore.search import Progress
from codesign.results import UserError
from codesign.search.accuracy.short_training import TrainingTask, trained_network
from models.files import json_io
from models.files.forms import conform
from models.files.reading import read_json, told_as
from models.integer.lower import lower

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork

LEAST_EPOCHS = 4
"""Fewest epochs of the full training, even when the time is up, unless fewer are asked for."""
TRAINING_SHARE = 0.7
"""Fraction of the remaining time that the full training may plan for."""


def train(
    design: Design, short: Trained, wanted: FinishSettings, progress: Progress
) -> TrainedNetwork:
    """Train the design's network in full, or load its weights if an earlier run trained it.

    short: the same network's short training, whose time predicts that of the full one. Weights and
    checkpoint are kept in the folder ``wanted.training``. Raises InfeasibleError if the NPU cannot
    run the network, and ModelError.
    """
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    weights = wanted.training / f"{design.name}.weights"
    if weights.exists():
        return TrainedNetwork.load(weights)
    epochs = _epochs(design, short, wanted)
    settings = pipeline.settings_of(design, wanted.dataset, epochs, wanted.settings.boo)

    def epoch(done: int, total: int, loss: float, accuracy: float, left_s: float) -> None:
        progress("training", done, total, f"validation {100 * accuracy:.2f} %")

    progress("training", 0, settings.epochs, "")
    weights.parent.mkdir(parents=True, exist_ok=True)
    trained = pipeline.train_design(
        design,
        wanted.dataset,
        settings,
        checkpoint=wanted.training / f"{design.name}.checkpoint",
        progress=epoch,
    )
    if trained.validation_accuracy < short.accuracy:
        trained = _better(trained, design, short, wanted)
    trained.save(weights)
    return trained


def _better(
    trained: TrainedNetwork, design: Design, short: Trained, wanted: FinishSettings
) -> TrainedNetwork:
    """Return the better network of a full training and of the short one, which is repeated.

    A full training that a time limit has cut can end below what the search has seen. The short
    training gives the same weights again; both are compared on all validation images, and equal
    ones keep the full one. If the short one's is taken, a note is recorded.
    """
    task = TrainingTask(design.name, design.network, design.quantisation, design.npu.scale_bits)
    again = trained_network(task, wanted.short.subset(wanted.dataset), wanted.short)
    validation = wanted.dataset.validation
    if again.evaluate(validation) <= trained.evaluate(validation):
        return trained
    _remember(
        design,
        wanted,
        f"the full training ended at {100 * trained.validation_accuracy:.2f} % validation "
        f"accuracy, below the short one's {100 * short.accuracy:.2f} %: the latter's network is "
        "delivered",
    )
    return again


def notes(design: Design, wanted: FinishSettings) -> tuple[str, ...]:
    """Return a sentence for everything that a limit has cut from the design's training."""
    path = _record(design, wanted)
    return tuple(_known(path).get("notes", ()))


def _record(design: Design, wanted: FinishSettings) -> Path:
    """Return the file that keeps a training's number of epochs and notes for a resumed run."""
    return wanted.training / f"{design.name}.json"


def _remember(design: Design, wanted: FinishSettings, note: str, **more: int) -> None:
    """Add a note (unless "") and further numbers to the record of a design's training."""
    path = _record(design, wanted)
    known = _known(path)
    content = {**known, **more, "notes": [*known.get("notes", ()), *([note] if note else ())]}
    json_io.write(path, content)


def _known(path: Path) -> dict[str, Any]:
    """Return the record of a design's training, empty if there is none. Raises UserError."""
    if not path.exists():
        return {}
    with told_as(UserError):
        found: dict[str, Any] = read_json(path)
        conform(found, {"notes?": [str], "epochs?": range(1, 1_000_000)}, str(path))
    return found


def _epochs(design: Design, short: Trained, wanted: FinishSettings) -> int | None:
    """Return the epochs of the full training; None: chosen by the size of the data set.

    With a time limit, they are what TRAINING_SHARE of the time left allows by the short training's
    pace, rounded down, but at least LEAST_EPOCHS and at most those without a limit; the number is
    stored per network, so that a resumed run uses the same.
    """
    if wanted.time_left_s is None:
        return wanted.settings.epochs
    path = _record(design, wanted)
    if "epochs" in (known := _known(path)):
        return int(known["epochs"])
    per_image = short.seconds / (wanted.short.epochs * wanted.short.train_images)
    affordable = TRAINING_SHARE * wanted.time_left_s / (per_image * len(wanted.dataset.train))
    full = pipeline.settings_of(design, wanted.dataset, wanted.settings.epochs).epochs
    epochs = min(full, max(int(affordable), LEAST_EPOCHS))
    cut = f"the time limit cut the full training to {epochs} of {full} epochs"
    _remember(design, wanted, cut if epochs < full else "", epochs=epochs)
    return epochs


def widened(design: Design, weights: TrainedNetwork) -> tuple[Design, bool]:
    """Return the design with accumulators wide enough for the trained weights; True if it changed.

    Accumulators are sized for any weights, so only a bias much larger than its layer's sums needs
    wider ones.
    """
    _, integer = lower(weights, design.npu.scale_bits)
    need = accumulator_bits(integer, design.npu.activation_offset)
    if need <= design.npu.accumulator_bits:
        return design, False
    npu = dataclasses.replace(design.npu, accumulator_bits=need)
    return dataclasses.replace(design, npu=npu), True
