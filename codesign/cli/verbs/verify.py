"""``codesign verify``: simulate the Verilog and compare it with the integer reference."""

from __future__ import annotations

import argparse

from codesign.build import build_folder, verification
from codesign.build.verification import Verification
from codesign.cli import options
from codesign.cli.console import Console, table

NAME = "verify"
HELP = "simulate a build folder: every layer bit for bit, every instruction cycle for cycle"
EXAMPLES = """\
  codesign verify build/digits_tiny
  codesign verify build/digits_tiny --images 64 --jobs 2 --stalls 0.5 --json
  codesign verify build/digits_tiny --hardware    # broken programs and streams, resets, 100 runs
Exit status 1 when anything differs; layer, channel, position and both values are named."""
REPORT = "verification"
"""Name of the report: reports/verification.json."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser)
    parser.add_argument(
        "--images",
        type=options.integer(1),
        default=8,
        metavar="N",
        help="images to run, at most those in vectors/ (default: %(default)s)",
    )
    parser.add_argument(
        "--stalls",
        type=options.number(0, 0.9),
        default=0.2,
        metavar="SHARE",
        help="share of cycles in which a bus channel is held back (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=options.integer(0), default=0, metavar="N", help="of the random stalls"
    )
    parser.add_argument(
        "--jobs",
        type=options.integer(1),
        default=1,
        metavar="N",
        help="simulator processes side by side (default: %(default)s)",
    )
    parser.add_argument("--hardware", action="store_true", help="also misuse the NPU, see above")


def run(args: argparse.Namespace, console: Console) -> int:
    design = options.load_build(args.build)
    with console.stage("building and running the simulator", expected_s=60):
        result = verification.verify(
            args.build,
            images=args.images,
            seed=args.seed,
            stalls=args.stalls,
            hardware=args.hardware,
            jobs=args.jobs,
            clock_mhz=design.clock_mhz,
        )
    if result.images < args.images:
        console.warn(f"{args.build} has vectors of {result.images} images: no more were run")
    build_folder.add_report(args.build, REPORT, result.to_dict())
    show(result, console)
    console.result(result.to_dict())
    return 0 if result.passed else 1


def show(result: Verification, console: Console) -> None:
    """Print the verdict as text."""
    rows = [(layer.name, f"{layer.expected:,}", f"{layer.simulated:,}") for layer in result.layers]
    console.say(table(("instruction", "compiled", "simulated"), rows))
    for test, failure in result.hardware.items():
        console.say(f"{test}: {failure or 'ok'}")
    for path in result.changed_files:
        console.warn(f"{path} is not as it was built")
    exact = "bit-exact" if result.bit_exact else "NOT bit-exact"
    console.say(f"{result.images} images, {exact}")
    if result.failure:
        console.say(f"first difference: {result.failure}")
