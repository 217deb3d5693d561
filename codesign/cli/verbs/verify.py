"""``codesign verify``: simulate the Verilog and compare it with the integer reference."""

from __future__ import annotations

import argparse

from codesign.build import verification
from codesign.build.verification import Verification
from codesign.cli import options
from codesign.cli.console import Console, table

NAME = "verify"
HELP = "simulate a build folder and compare all layer outputs and cycle counts with the reference"
DESCRIPTION = """\
Simulate the Verilog of a build folder with Verilator and compare it with the
integer network: every value of every layer bit for bit, and the clock cycles of
every instruction. The test bench drives the NPU over its AXI ports. What is
compiled is said before; nothing else of the folder is run.

Input:   a build folder with test vectors.
Output:  the verdict, with layer, channel, position and both values of the first
         difference; reports/verification.json in the build folder.

Exit status: 0 everything equal, 1 a difference or a failure of the simulator,
2 bad input, missing tool, or everything equal but no report could be written."""
EXAMPLES = """\
  codesign verify build/digits_tiny
  codesign verify build/digits_tiny --images 64 --jobs 2 --stalls 0.5 --json
  codesign verify build/digits_tiny --hardware"""
REPORT = "verification"
"""Name of the report: reports/verification.json."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser)
    parser.add_argument(
        "--images",
        type=options.integer(1),
        default=8,
        metavar="N",
        help="test images to simulate, up to the number in the build folder (default: %(default)s)",
    )
    parser.add_argument(
        "--stalls",
        type=options.number(0, 0.9),
        default=0.2,
        metavar="SHARE",
        help="fraction of cycles in which each AXI channel is stalled at random, 0 to 0.9 "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=options.integer(0),
        default=0,
        metavar="N",
        help="seed of the random stalls (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=options.integer(1),
        default=1,
        metavar="N",
        help="simulator processes that share the images (default: %(default)s)",
    )
    parser.add_argument(
        "--hardware",
        action="store_true",
        help="also run the misuse tests: invalid programs, broken input streams, resets at random "
        "times, watchdog, 100 runs without a reset",
    )
    options.timeout(parser, "compiling the simulator and running it", verification.TIMEOUT_S)
    options.memory(parser)
    options.trust(parser)


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
            timeout_s=args.timeout,
            trust=args.trust,
            tell=console.warn,
        )
    if result.images < args.images:
        console.warn(f"{args.build} has test vectors of {result.images} images; all were simulated")
    try:
        show(result, console)
        console.result(result.to_dict())
    finally:  # also where nobody reads the answer to its end
        status = options.add_reports(args.build, {REPORT: result.to_dict()}, console)
    return status if result.passed else 1


def show(result: Verification, console: Console) -> None:
    """Print cycles per instruction, hardware tests and verdict."""
    rows = [(layer.name, f"{layer.expected:,}", f"{layer.simulated:,}") for layer in result.layers]
    console.say(table(("instruction", "cycles compiled", "cycles simulated"), rows))
    for test, failure in result.hardware.items():
        console.say(f"{test}: {failure or 'ok'}")
    exact = "bit-exact" if result.bit_exact else "NOT bit-exact"
    console.say(f"{result.images} images, {exact}")
    if result.failure:
        console.say(f"first failure: {result.failure}")
