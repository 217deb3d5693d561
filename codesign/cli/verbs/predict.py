"""``codesign predict``: classify new pictures and arrays with a build folder's network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from codesign.build import inputs
from codesign.build.built import BuiltNetwork
from codesign.build.inputs import Examples
from codesign.cli import options
from codesign.cli.console import Console
from models.data.targets import CLASSES
from models.integer.parts import split

NAME = "predict"
HELP = "classify new pictures and arrays with a build folder's integer network"
DESCRIPTION = """\
Classify new inputs with the integer network of a build folder, which computes
what its Verilog computes, or of a quantised network folder of codesign import.
Values become input levels as for training.

Input:   a build or network folder, and files: pictures of the network's size
         (resized only if the pictures that it was trained on were), .npy arrays, or
         .npz files with an array x; an array holds one example or many, its axes as
         in a data set.
Output:  a line for each example: file, class, its score and the second best class.
         Scores are the softmax of the logits, so they sum to 1. Of a network whose
         outputs are no classes, and of an imported one of several outputs, unless
         --output chooses one, a line for each output instead, with its name and
         values, as the data or the file have them.

Exit status: 0 success, 2 bad input."""
EXAMPLES = """\
  codesign predict build/digits_tiny five.png seven.png
  codesign predict build/digits_tiny examples.npy --json"""

SHOWN = 8
"""Most values of an output that a line shows; --json has all."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser, or_network=True)
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="picture, .npy array, or .npz with an array x",
    )
    parser.add_argument(
        "--output",
        metavar="NAME",
        help="the output that holds a value for each class, of an imported network of several "
        "(default: print the values of all)",
    )
    options.memory(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    network = options.load_network(args.build, console.warn).chosen(args.output)
    several = len(network.network.parts) > 1 or network.task != CLASSES
    if not several:
        network.check_classes()
    examples = [inputs.read(network, path) for path in args.files]  # all, before any is classified
    results = []
    for each in examples:
        for note in each.notes:
            console.warn(f"note: {each.path}: {note}")
        results += (_values if several else _classified)(network, each, console)
    console.result(results)
    return 0


def _classified(
    network: BuiltNetwork, examples: Examples, console: Console
) -> list[dict[str, Any]]:
    """Print the answer to each example of a file, and return the JSON forms, in order.

    Each has ``file``, ``index`` (in the file, from 0), ``class`` (number), ``name`` and ``scores``
    (by class number).
    """
    logits = network.logits(examples.levels)
    found = []
    for index, scores in enumerate(network.scores(logits)):
        # By logits, of which the first of equal ones wins, as on hardware; softmax may round.
        first, second = np.argsort(-logits[index], kind="stable")[:2].tolist()
        names = network.classes
        where = _where(examples, index)
        console.say(
            f"{where}: {names[first]} {100 * scores[first]:.1f} %, "
            f"then {names[second]} {100 * scores[second]:.1f} %"
        )
        found.append(
            {
                "file": str(examples.path),
                "index": index,
                "class": first,
                "name": names[first],
                "scores": scores.tolist(),
            }
        )
    return found


def _where(examples: Examples, index: int) -> str:
    return f"{examples.path}" if examples.single else f"{examples.path}[{index}]"


def _values(network: BuiltNetwork, examples: Examples, console: Console) -> list[dict[str, Any]]:
    """Print all outputs of each example of a file, and return the JSON forms, in order.

    Each has ``file``, ``index`` (in the file, from 0) and ``outputs``, the values by name.
    """
    numbers = network.network
    values = split(numbers.parts, numbers.real(network.logits(examples.levels)))
    found = []
    for index in range(len(examples.levels)):
        own = {name: each[index] for name, each in values.items()}
        for name, each in own.items():
            shown = ", ".join(f"{value:.4g}" for value in each.ravel()[:SHOWN])
            more = f", ... {each.size - SHOWN} more" if each.size > SHOWN else ""
            console.say(f"{_where(examples, index)}: {name} {shown}{more}")
        found.append(
            {
                "file": str(examples.path),
                "index": index,
                "outputs": {name: each.tolist() for name, each in own.items()},
            }
        )
    return found
