"""Training of a design with progress on the terminal, shared by ``train`` and ``build``."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.build import pipeline, weights
from codesign.build.evaluation import ACCURACY, WHOLE, Judged, Measured
from codesign.cli import options, outputs
from codesign.cli.console import Console
from codesign.design import Design
from models.data.datasets import Dataset
from models.tasks.kinds import TASKS
from models.training.choices import EPOCHS
from models.training.matching import check_match

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.trained import TrainedNetwork

SETTINGS = ("epochs", "boo", "zero_blocks", "skip_blocks", "skip_digits")
"""Names of the options that are arguments of ``pipeline.settings_of``."""
OPTIONS = (*SETTINGS, "start", "teacher")
"""Names of the options that only training a design takes."""
WORST_CLASSES = 3
"""Number of classes of lowest recall that are shown; --json has all."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of verbs that train a design."""
    options.data_dir(parser)
    fewest, most = EPOCHS
    parser.add_argument(
        "--epochs",
        type=options.integer(2, 10000),
        metavar="N",
        help=f"training epochs (default: {fewest} to {most}, fewer for larger data sets)",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="weights of codesign train, or a build folder, of a network for the same data whose "
        "answers are learned beside the labels (default: labels alone)",
    )
    parser.add_argument(
        "--start",
        type=Path,
        metavar="FILE",
        help="weights of codesign train, or a build folder, that training goes on from: same "
        "layers, any bits; all epochs are quantised then (default: random weights)",
    )
    options.boo(parser, default=0.0)
    pruned = parser.add_mutually_exclusive_group()
    pruned.add_argument(
        "--zero-blocks",
        type=options.number(0, 0.99),
        default=0.0,
        metavar="SHARE",
        help="fraction of each layer's weight words (the weights that the array reads in one "
        "cycle) to set to zero, 0 to 0.99, smallest magnitudes first; saves no cycles (default: 0)",
    )
    pruned.add_argument(
        "--skip-blocks",
        type=options.number(0, 0.99),
        default=0.0,
        metavar="SHARE",
        help="the same in a form that the program skips, in each tile of output channels (those "
        "computed together); saves cycles; not with --zero-blocks (default: 0)",
    )
    parser.add_argument(
        "--skip-digits",
        type=options.number(0, 1),
        default=0.0,
        metavar="SHARE",
        help="fraction of each layer's tiles of output channels, 0 to 1, to train with one weight "
        "digit (npu.weight_digit_bits) less; saves cycles (default: 0)",
    )


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
    """Train with the options in ``args``, continuing from ``checkpoint``.

    That file need not exist. It is written after each epoch, its folder made if missing. Raises
    InfeasibleError before any training if the NPU cannot run the network, and ModelError.
    """
    asked = {name: getattr(args, name) for name in SETTINGS}
    settings = pipeline.settings_of(design, dataset, **asked)
    first, teacher = (weights.read(path) if path else None for path in (args.start, args.teacher))
    with progress(settings.epochs, checkpoint, console, score_name(design, dataset)) as epoch:
        return pipeline.train_design(
            design, dataset, settings, first=first, teacher=teacher, checkpoint=checkpoint,
            progress=epoch,
        )  # fmt: skip


def score_name(design: Design, dataset: Dataset) -> str:
    """Return what the validation score of a design's epochs is called."""
    check_match(design.network, dataset)
    shape = design.network.shapes[design.network.output.name]
    return TASKS[dataset.task].score(dataset.validation, shape)


@contextlib.contextmanager
def progress(
    epochs: int, checkpoint: Path, console: Console, score: str = ACCURACY
) -> Iterator[Progress]:
    """Give the callback that shows the epochs of a training to the ``with`` block.

    The folder of its checkpoint is made if missing. score: what their score is called.
    """

    def epoch(done: int, total: int, loss: float, number: float, left_s: float) -> None:
        told = f"{100 * number:.2f} %" if score == ACCURACY else f"{score} {number:.4g}"
        console.progress("training", done, total, f"validation {told}")

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    console.progress("training", 0, epochs)
    yield epoch
    console.clear()


def checkpoint_of(out: Path) -> Path:
    """Return the checkpoint file of a training whose result is ``out``: beside it.

    Its name is that of ``out`` with ``.checkpoint`` behind it.
    """
    return out.with_name(f"{out.name}.checkpoint")


def show(found: Judged, console: Console) -> None:
    """Print accuracies with their intervals, the classes of lowest recall, and all notes.

    Where outputs are no classes: all measures of each part, and the notes.
    """
    if isinstance(found, Measured):
        outputs.show(found, console)
        return
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
