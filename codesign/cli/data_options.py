"""Options that say what a data set is and how training treats it, where the tool would guess."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from codesign.cli import options
from codesign.design import Design
from models.data.datasets import AUGMENTATIONS
from models.data.layout import Layout
from models.data.targets import TASKS
from models.training.choices import MOST_SHIFT, TrainingChoices

_TRAINING = tuple(field.name for field in dataclasses.fields(TrainingChoices))


def add_to(parser: argparse._ActionsContainer) -> None:
    """Add the options of data set and augmentation. Those that are not given are None."""
    parser.add_argument(
        "--augment",
        choices=AUGMENTATIONS,
        metavar="KIND",
        help="random changes to training images: none, shift, mirror or shift+mirror (default: "
        "none, except shift for digits, mnist and fashion-mnist, shift+mirror for cifar10)",
    )
    for side in ("rows", "columns"):
        parser.add_argument(
            f"--shift-{side}",
            type=options.integer(0, MOST_SHIFT),
            metavar="N",
            help=f"with --augment shift: largest shift in {side} (default: 1 below 16 {side}, "
            "else a twelfth of them)",
        )
    parser.add_argument(
        "--cutout",
        type=options.integer(0, MOST_SHIFT),
        metavar="N",
        help="cut a square of N x N pixels at random out of every training image (default: 0)",
    )
    parser.add_argument(
        "--class-weights",
        action="store_true",
        default=None,
        help="let rare classes count as much as frequent ones in training (default: every example "
        "counts the same)",
    )
    reading(parser)


def reading(
    parser: argparse._ActionsContainer,
    layout: str = "auto, guessed and said",
    resize: str = "they must have one",
) -> None:
    """Add the options that say how the files of a data set are read. Not given: None.

    layout, resize: what the help says of their defaults.
    """
    parser.add_argument(
        "--layout",
        choices=[str(layout) for layout in Layout],
        metavar="AXES",
        help="axes of an example in an .npz: f (features), cl or lc (channels and length), hw, chw "
        f"or hwc (rows, columns, channels) (default: {layout})",
    )
    parser.add_argument(
        "--resize",
        type=size,
        metavar="ROWSxCOLUMNS",
        help="bring all pictures of a folder or zip to one size, such as 32x32 (default: "
        f"{resize})",
    )


def task(parser: argparse._ActionsContainer) -> None:
    """Add ``--task``, what the data's answers are. Not given: None."""
    parser.add_argument(
        "--task",
        choices=TASKS,
        help="what the outputs and the y of an .npz are: classes of the whole, a class of each "
        "pixel, numbers, or the input again, whose error tells anomalies apart (default: as the "
        "design says, else classes)",
    )


def size(text: str) -> tuple[int, int]:
    """Parse ``32x48`` as (rows, columns), or ``32`` as (32, 32); numbers are 1 to 999999.

    Raises ArgumentTypeError for any other text.
    """
    match = re.fullmatch(r"0*([1-9]\d{0,5})(?:x0*([1-9]\d{0,5}))?", text.casefold())
    if match:
        return int(match[1]), int(match[2] or match[1])
    raise argparse.ArgumentTypeError(f"must be ROWSxCOLUMNS, such as 32x32, not {text!r}")


def training(base: TrainingChoices, given: Mapping[str, Any]) -> TrainingChoices:
    """Return ``base`` with the choices among ``given`` that are not None. Raises ModelError.

    given: values by name; other names are ignored.
    """
    changed = {name: given[name] for name in _TRAINING if given.get(name) is not None}
    return dataclasses.replace(base, **changed)


def applied(design: Design, args: argparse.Namespace) -> Design:
    """Return the design with the options given on the command line.

    Options that are None leave the design's values. Raises ModelError, UserError.
    """
    said = {name: value for name, value in vars(args).items() if value is not None}
    spec = {name: said[name] for name in ("layout", "resize", "task") if name in said}
    return dataclasses.replace(
        design,
        training=training(design.training, said),
        dataset=dataclasses.replace(design.dataset, **spec),
    )
