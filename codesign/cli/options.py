"""Argument types and options that several verbs share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from codesign import design
from codesign.build import build_folder
from codesign.design import Design
from codesign.results import UserError


def number(low: float, high: float = math.inf) -> Callable[[str], float]:
    """Return an argparse type for a finite number in low..high."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            raise argparse.ArgumentTypeError(f"must be a number {_range(low, high)}, not {text!r}")
        return value

    return convert


def integer(low: int, high: float = math.inf) -> Callable[[str], int]:
    """Return an argparse type for an integer in low..high."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(
                f"must be an integer {_range(low, high)}, not {text!r}"
            )
        return value

    return convert


def _range(low: float, high: float) -> str:
    return f">= {low:g}" if high == math.inf else f"in {low:g}..{high:g}"


def design_file(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument of verbs that take a design file."""
    parser.add_argument("design", type=Path, metavar="DESIGN.yaml", help="the design file")


def build_argument(parser: argparse.ArgumentParser) -> None:
    """Add the positional argument of verbs that take a build folder."""
    parser.add_argument("build", type=Path, metavar="BUILD_DIR", help="a folder of codesign build")


def device(parser: argparse._ActionsContainer) -> None:
    """Add ``--device``, a part of constraints/devices.yaml."""
    parser.add_argument(
        "--device", metavar="NAME", help="a part of constraints/devices.yaml, such as xc7a50t"
    )


def training(parser: argparse.ArgumentParser) -> None:
    """Add the options of verbs that train a design."""
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="folder with the data set's files"
    )
    parser.add_argument(
        "--epochs", type=integer(2, 10000), metavar="N", help="training epochs (default: by size)"
    )
    boo(parser, default=0.0)
    pruned = parser.add_mutually_exclusive_group()
    pruned.add_argument(
        "--zero-blocks",
        type=number(0, 0.99),
        default=0.0,
        metavar="SHARE",
        help="share of each layer's weight words to prune, the lightest (default: 0, none)",
    )
    pruned.add_argument(
        "--skip-blocks",
        type=number(0, 0.99),
        default=0.0,
        metavar="SHARE",
        help="the same, of each tile of output channels, such that the NPU leaves them out",
    )
    parser.add_argument(
        "--skip-digits",
        type=number(0, 1),
        default=0.0,
        metavar="SHARE",
        help="share of each layer's tiles whose weights have a digit less (default: 0, none)",
    )


def boo(parser: argparse._ActionsContainer, default: float | None = None) -> None:
    """Add ``--boo``, the weight of one-bits in the training loss."""
    parser.add_argument(
        "--boo",
        type=number(0, 1000),
        default=default,
        metavar="WEIGHT",
        help="weight, in the loss, of the one-bits per weight (default: 0, none)",
    )


def load_build(folder: Path) -> Design:
    """Load the design of a build folder. Raises UserError for any other folder."""
    if not build_folder.is_build(folder):
        raise UserError(f"{folder} is not a build folder: codesign build makes one")
    return design.load(folder / "design.yaml")
