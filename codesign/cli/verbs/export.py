"""``codesign export``: write a build's integer network as an ONNX file that others read."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from codesign.build.built import BuiltNetwork
from codesign.cli import options
from codesign.cli.console import Console
from models.data.values import InputRange
from models.exporting import export
from models.files.writing import atomic_file

NAME = "export"
HELP = "write the integer network of a build or network folder as QONNX or ONNX"
DESCRIPTION = """\
Write the integer network of a build folder, or of a network folder of a quantised
file, as an ONNX file. The format onnx has ONNX's integer operators alone: ONNX
Runtime gives the scores of the network bit for bit. The format qonnx says scales,
zero points and bits by QONNX's Quant. codesign import reads both back.

Input:   a build folder, or a network folder written by codesign import.
Output:  an ONNX file. Its input x (images, channels, rows, columns) holds the real
         values of the network's input, its output the logits as real values. A
         note says where x is not the data's values, which the host scales.

Exit status: 0 success, 2 bad input, or a network that the format cannot say."""
EXAMPLES = """\
  codesign export build/digits_tiny --format onnx --out digits.onnx
  codesign export resnet8/ --format qonnx --out resnet8_qonnx.onnx"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser, or_network=True)
    parser.add_argument(
        "--format", choices=tuple(export.FORMATS), required=True, help="format (required)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", required=True, help="file to write (required)"
    )
    options.memory(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    built = options.load_network(args.build, console.warn)
    network = built.network
    content = export.onnx_bytes(network, args.format)
    with atomic_file(args.out) as file:
        file.write(content)
    console.say(f"written: {args.out} ({len(content):,} bytes, {len(network.layers)} layers)")
    notes = _notes(built)
    for note in notes:
        console.say(f"note: {note}")
    size = len(content)
    console.result({"file": str(args.out), "format": args.format, "bytes": size, "notes": notes})
    return 0


def _notes(built: BuiltNetwork) -> list[str]:
    """Return a note if the file's input is not the data's values, but what the host makes of them.

    Tools that read the file do not know of that scaling.
    """
    data, file = built.input_range, InputRange.of(*export.input_ends(built.network))
    if np.allclose(data.low, file.low) and np.allclose(data.high, file.high):
        return []
    return [
        f"the file's input x is {file.describe()} for the data's values {data.describe()}: scale "
        "them before the file is run, or evaluated after codesign import"
    ]
