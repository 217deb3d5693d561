"""Training of a design with progress on the terminal, shared by ``train`` and ``build``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.build import pipeline
from codesign.build.evaluation import WHOLE, Evaluation
from codesign.cli import options
from codesign.cli.console import Console
from codesign.design import Design
from models.data.datasets import Dataset

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.trained import TrainedNetwork

WORST_CLASSES = 3
"""Number of classes of lowest recall that are shown; --json has all."""


def load_data(design: Design, data_dir: Path | None, console: Console) -> Dataset:
    """Load the design's data set, with progress on ``console``. Raises DatasetError.

    data_dir: folder with its files, or None.
    """

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    return pipeline.dataset_of(design, data_dir, read)


def run(
    design: Design, dataset: Dataset, args: argparse.Namespace, checkpoint: Path, console: Console
) -> TrainedNetwork:
    """Train with the options of options.training in ``args``, continuing from ``checkpoint``.

    That file need not exist. It is written after each epoch, its folder made if missing. Raises
    InfeasibleError before any training if the NPU cannot run the network, and ModelError.
    """
    asked = {name: getattr(args, name) for name in options.TRAINING}
    settings = pipeline.settings_of(design, dataset, **asked)
    first, teacher = (_weights(path) if path else None for path in (args.start, args.teacher))
    with progress(settings.epochs, checkpoint, console) as epoch:
        return pipeline.train_design(
            design, dataset, settings, first=first, teacher=teacher, checkpoint=checkpoint,
            progress=epoch,
        )  # fmt: skip


def _weights(path: Path) -> TrainedNetwork:
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    return TrainedNetwork.load(path)


@contextlib.contextmanager
def progress(epochs: int, checkpoint: Path, console: Console) -> Iterator[Progress]:
    """Give the callback that shows the epochs of a training to the ``with`` block.

    The folder of its checkpoint is made if missing.
    """

    def epoch(done: int, total: int, loss: float, accuracy: float, left_s: float) -> None:
        console.progress("training", done, total, f"validation {100 * accuracy:.2f} %")

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    console.progress("training", 0, epochs)
    yield epoch
    console.clear()


def checkpoint_of(out: Path) -> Path:
    """Return the checkpoint file of a training whose result is ``out``: beside it.

    Its name is that of ``out`` with ``.checkpoint`` behind it.
    """
    return out.with_name(f"{out.name}.checkpoint")


def show(found: Evaluation, console: Console) -> None:
    """Print accuracies with their intervals, the classes of lowest recall, and all notes."""
    for part, scores in found.parts.items():
        of = WHOLE if found.whole else part
        console.say(f"accuracy:      {scores.accuracy.describe()} ({of})")
    recalls = found.last.per_class(found.classes)
    worst = sorted(
        (one["recall"], name) for name, one in recalls.items() if one["recall"] is not None
    )[:WORST_CLASSES]
    told = ", ".join(f"{name} {100 * recall:.1f} %" for recall, name in worst)
    console.say(f"lowest recall: {told}")
    for note in found.notes:
        console.say(f"note: {note}")
