"""``codesign synth``: what the Verilog costs."""

from __future__ import annotations

import argparse

from codesign import build as builds
from codesign import devices, synth
from codesign.cli import options
from codesign.cli.console import Console, table
from sim.folder import TOP

NAME = "synth"
HELP = "synthesise a build folder with Yosys and count LUTs, flip-flops, block RAMs and DSPs"
EXAMPLES = """\
  codesign synth build/digits_tiny
  codesign synth build/digits_tiny --device lfe5u-85f --json
  codesign synth build/digits_tiny --lut-budget 2000   # exit status 1 when it takes more"""
REPORT = "synthesis"
"""reports/synthesis.json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_folder(parser)
    options.device(parser)
    parser.add_argument(
        "--lut-budget", type=options.number(1), metavar="N", help="fail when it takes more LUTs"
    )
    parser.add_argument(
        "--time-limit",
        type=options.number(1),
        default=60,
        metavar="MIN",
        help="minutes that Yosys may take (default: %(default)s)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    design = options.load_build(args.build)
    device = devices.get(args.device or devices.DEFAULT)
    verilog = {path.name: path.read_text() for path in (args.build / "rtl").glob("*.v")}
    with console.stage("synthesis", expected_s=20 + design.npu.macs / 4):
        result = synth.synthesise(
            verilog,
            TOP,
            dsps=design.npu.multiplier == "dsp",
            family=device.family,
            timeout_s=60 * args.time_limit,
        )
    report = synth.to_dict(result)
    builds.add_report(args.build, REPORT, report)
    figures = result.figures.to_dict()
    console.say(table(("", device.family), [(name, f"{n:,g}") for name, n in figures.items()]))
    console.result({**figures, **report})
    luts = result.figures.luts
    if args.lut_budget is not None and luts is not None and luts > args.lut_budget:
        console.warn(f"{luts:,.0f} LUTs are over the budget of {args.lut_budget:,.0f}")
        return 1
    return 0
