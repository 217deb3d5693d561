"""Options that say how a float network folder gets its bits."""

from __future__ import annotations

import argparse
import re

from codesign.build.floats import quantising
from codesign.build.floats.quantising import Bits
from codesign.build.npu_file import NpuFile
from codesign.cli import options
from codesign.results import UserError
from models.graph.network import NetworkGraph
from models.quantisation.plan import Quantisation

OPTIONS = ("weight_bits", "activation_bits", "average_weight_bits", "finetune")
"""Options of float network folders alone."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--weight-bits",
        type=_widths,
        metavar="N|LOW..HIGH",
        help="of a float network folder: bits of the weights, or a range such as 4..8 that layers "
        "choose from (default: 8, or the block quantisation in the file of --npu)",
    )
    parser.add_argument(
        "--average-weight-bits",
        type=options.number(1, 8),
        metavar="X",
        help="with a range of --weight-bits: most bits of a weight on average, given to the layers "
        "that need them (default: none)",
    )
    parser.add_argument(
        "--activation-bits",
        type=options.integer(1, 8),
        metavar="N",
        help="of a float network folder: bits of the activations (default: 8, or as --npu says)",
    )
    parser.add_argument(
        "--finetune",
        type=options.integer(1, 10000),
        metavar="EPOCHS",
        help="of a float network folder: epochs of training after calibration, towards the float "
        "network's answers (default: none)",
    )


def _widths(text: str) -> tuple[int, ...]:
    """Parse ``8`` as (8,) and ``4..6`` as (4, 5, 6). Raises ArgumentTypeError."""
    match = re.fullmatch(r"([1-8])(?:\.\.([1-8]))?", text)
    if not match or int(match[2] or match[1]) < int(match[1]):
        raise argparse.ArgumentTypeError(f"must be bits 1 to 8, or a range 4..8, not {text!r}")
    return tuple(range(int(match[1]), int(match[2] or match[1]) + 1))


def bits_of(
    args: argparse.Namespace, file: NpuFile | None, graph: NetworkGraph
) -> tuple[Bits, Quantisation]:
    """Return the widths that options ask for, and the quantisation to start from."""
    given = [name for name in OPTIONS[:3] if getattr(args, name) is not None]
    bits = Bits(args.weight_bits or (8,), args.activation_bits or 8, args.average_weight_bits)
    said = quantising.said_bits(file, graph) if file else None
    if said and given:
        option = f"--{given[0].replace('_', '-')}"
        raise UserError(f"{option}: the block quantisation of {args.npu} says the bits")
    return bits, said or bits.widest
