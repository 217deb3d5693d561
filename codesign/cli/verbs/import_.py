"""``codesign import``: read a network that others made, or say what cannot be mapped."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from codesign.cli import options
from codesign.cli.console import Console, table
from codesign.results import UserError
from models.data.values import InputRange
from models.files.reading import printable
from models.importing import folder, imports
from models.importing.imports import Imported

NAME = "import"
HELP = "read a network of ONNX or TFLite, with its weights, into a network folder"
DESCRIPTION = """\
Read a network from an ONNX file (float, QDQ, QOperator, QONNX) or a TensorFlow
Lite file (int8, float) and map it to layers of ours. A quantised network keeps
the file's weights, scales and zero points; a float one gets its bits later.
Nothing in the file is executed. What cannot be mapped is refused by name, all of
it at once, and nothing is written.

Input:   a file, recognised by its content.
Output:  a network folder; a table of what became of each node: mapped to a
         layer, folded into one, left to the host, or refused, with what would do
         instead.

Exit status: 0 success, 2 bad input or something refused."""
EXAMPLES = """\
  codesign import resnet8_int8.tflite --out resnet8/
  codesign import model.onnx --out model/ --json
  codesign import unet.onnx --out encoder/ --partition
  codesign import features.onnx --out features/ --input-range -4 4
  codesign import mobile.onnx --out mobile/ --pixel-mean 0.485,0.456,0.406 \
    --pixel-std 0.229,0.224,0.225"""

LONGEST_NAME = 36
"""Characters of a node's name that the table shows; --json has all of it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="ONNX or TFLite file")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="network folder to write (required)"
    )
    parser.add_argument(
        "--input-range",
        type=options.number(-1e30, 1e30),
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="smallest and largest value of the input, for a quantised network whose file does not "
        "round its input (default: -8 8)",
    )
    parser.add_argument(
        "--partition",
        action="store_true",
        help="of a network with nodes that are refused, import the longest part before them that "
        "ends with one tensor, and say what is left to the host (default: write nothing)",
    )
    pixels = parser.add_mutually_exclusive_group()
    pixels.add_argument(
        "--pixel-range",
        type=options.number(-1e30, 1e30),
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="values of the network's input that pixels 0 and 255 of pictures are (default: 0 255, "
        "which a note says wherever pictures are read)",
    )
    pixels.add_argument(
        "--pixel-mean",
        type=_numbers,
        metavar="MEAN[,MEAN...]",
        help="with --pixel-std: pixels divided by 255 are normalised, (x - mean) / std, with a "
        "value for all channels or for each (default: none)",
    )
    parser.add_argument(
        "--pixel-std",
        type=_numbers,
        metavar="STD[,STD...]",
        help="see --pixel-mean (default: none)",
    )
    options.memory(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    limits = tuple(args.input_range) if args.input_range else None
    if limits and not limits[0] < limits[1]:
        raise UserError(f"--input-range: {limits[0]:g} must be below {limits[1]:g}")
    pixels = _pixels(args)
    folder.check_free(args.out)
    found = imports.read(args.file, limits, partition=args.partition)
    found = dataclasses.replace(found, pixels=pixels)
    if pixels and found.input:
        pixels.check(found.input.shape[0])
    console.result(imports.summary(found))
    _show(found, console)
    if found.table.refused:
        console.warn(
            f"error: {len(found.table.refused)} nodes cannot be mapped; nothing written "
            "(--partition imports the part before them)"
        )
        return 2
    for name, now in folder.save(found, args.out).items():
        console.warn(f"{args.out / name} was not as an import wrote it and is kept as {now}")
    if limits and found.floating:
        console.warn("note: --input-range has no effect: a float network's data says the range")
    if args.partition and found.output:
        console.say(f"the network ends with {found.output.name}")
    for end in found.outputs if len(found.outputs) > 1 else ():
        shape = " x ".join(map(str, end.file_shape))
        console.say(f"output {printable(end.part.name)}: tensor {printable(end.name)} of {shape}")
    console.say(f"written: {args.out}")
    return 0


def _numbers(text: str) -> tuple[float, ...]:
    """Parse numbers separated by commas. Raises ArgumentTypeError for any other text."""
    return tuple(map(options.number(-1e30, 1e30), text.split(",")))


def _pixels(args: argparse.Namespace) -> InputRange | None:
    """Return the values of pixels 0 and 255 that the options say. Raises UserError."""
    if args.pixel_range:
        return InputRange.of(*args.pixel_range)
    if (args.pixel_mean is None) != (args.pixel_std is None):
        raise UserError("--pixel-mean and --pixel-std go together")
    if args.pixel_mean is None:
        return None
    if len(args.pixel_mean) != len(args.pixel_std) or min(args.pixel_std) <= 0:
        raise UserError("--pixel-std must be above 0, and as many values as --pixel-mean")
    ends = list(zip(args.pixel_mean, args.pixel_std, strict=True))
    return InputRange(
        tuple(-mean / std for mean, std in ends), tuple((1 - mean) / std for mean, std in ends)
    )


def _short(name: str) -> str:
    """Return the end of a node's name, which says most: scopes come first."""
    return name if len(name) <= LONGEST_NAME else f"...{name[-LONGEST_NAME:]}"


def _show(found: Imported, console: Console) -> None:
    rows = [
        (_short(row.name), row.operator, fate, row.layer, row.note)
        for fate in ("mapped", "folded", "host")
        for row in found.table.of(fate)
    ]
    console.say(table(("node", "operator", "", "layer", "note"), rows, left=5))
    for refused in found.table.refused:
        console.say(f"refused: {refused}")
