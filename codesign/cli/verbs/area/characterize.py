"""``codesign characterize``: synthesise or place more NPUs as training data of the cost models."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from codesign.cli import options
from codesign.cli.console import Console
from codesign.cost.characterization import placements, sampling
from codesign.cost.characterization.characterize import characterize, measure
from codesign.cost.characterization.measuring import TIMEOUT_S
from codesign.cost.data import dataset, timing_data
from codesign.results import UserError
from rtl_gen.config import NpuConfig

NAME = "characterize"
COUNT = 160
HELP = "synthesise or place more NPUs, as training data of the area and clock estimates"
DESCRIPTION = f"""\
Extend the data that the estimates are fitted to: synthesise sampled NPU
configurations with Yosys for AMD 7-series (area model), or with --place, place and
route configurations of that data on a Lattice {timing_data.DEVICE} (timing model).

Input:   the data file --data, if it exists.
Output:  its extended version, written after every measurement. An interrupted run
         continues where it stopped; no configuration is measured twice. Those that
         a tool failed on are listed in a file beside the data.

Exit status: 0 success, 1 a tool failed on a configuration, 2 bad input."""
EXAMPLES = """\
  codesign characterize --count 640 --max-luts 60000
  codesign characterize --count 700 --near 30000     # more data near a budget of 30,000 LUTs
  codesign characterize --refresh                    # after a change of the Verilog generator
  codesign characterize --place 60 --max-luts 5000"""


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--count", type=options.integer(1), metavar="N",
        help=f"synthesise until the data holds N configurations (default: {COUNT})",
    )  # fmt: skip
    what.add_argument(
        "--place",
        type=options.integer(1),
        metavar="N",
        help="instead place and route configurations of the data until the clocks of N are known; "
        "takes minutes each (default: synthesise)",
    )
    parser.add_argument(
        "--max-luts", type=options.number(1000), default=60000.0, metavar="N",
        help="most LUTs (7-series) of an NPU: by formula before synthesis, with --place as "
        "synthesised (default: 60000)",
    )  # fmt: skip
    parser.add_argument(
        "--near", type=options.number(1000), metavar="LUTS",
        help="sample NPUs estimated within 10 %% of this many LUTs instead of up to --max-luts, "
        "those with the widest prediction intervals first (default: off)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs",
        type=options.integer(1, 256),
        default=2,
        metavar="N",
        help="processes side by side (default: 2)",
    )
    parser.add_argument(
        "--seed", type=options.integer(0), metavar="N", help="seed of the sample (default: 0)"
    )
    parser.add_argument(
        "--timeout", type=options.number(1), default=TIMEOUT_S, metavar="S",
        help="time limit of each tool on one configuration, in seconds "
        f"(default: {TIMEOUT_S:g})",
    )  # fmt: skip
    parser.add_argument(
        "--refresh",
        action="store_true",
        help="first measure configurations again whose Verilog has changed since",
    )
    parser.add_argument(
        "--retry", action="store_true", help="try configurations again that a tool failed on"
    )
    parser.add_argument(
        "--data", type=Path, default=dataset.SHIPPED, metavar="FILE",
        help="synthesis data to extend, in CSV; clocks go to a file beside it (default: the data "
        "that ships with codesign)",
    )  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> int:
    path = timing_data.beside(args.data) if args.place else args.data
    layout = timing_data.LAYOUT if args.place else dataset.LAYOUT
    failures = _place(args, console) if args.place else _synthesise(args, console)
    console.result(
        {
            "data": str(path),
            "rows": len(layout.read(path)) if path.exists() else 0,
            "failures": [{"config": config.to_dict(), "reason": why} for config, why in failures],
        }
    )
    return 1 if failures else 0


def _synthesise(args: argparse.Namespace, console: Console) -> list[tuple[NpuConfig, str]]:
    count, seed = args.count or COUNT, args.seed or 0
    if args.near:
        from codesign.cost.area import model_file

        configs = sampling.near(model_file.load(args.data), args.near, count, seed)
    else:
        configs = sampling.sample(count, args.max_luts, seed)
    return characterize(
        configs,
        args.data,
        count,
        args.jobs,
        console.say,
        functools.partial(measure, timeout_s=args.timeout),
        refresh=args.refresh,
        retry=args.retry,
    )


def _place(args: argparse.Namespace, console: Console) -> list[tuple[NpuConfig, str]]:
    for name in ("near", "seed"):
        if getattr(args, name) is not None:
            raise UserError(
                f"--{name} chooses what to synthesise, but --place takes what is already "
                "synthesised; give only one of them"
            )
    return placements.characterize(
        dataset.read(args.data),
        timing_data.beside(args.data),
        args.place,
        args.max_luts,
        args.jobs,
        console.say,
        functools.partial(placements.measure, timeout_s=args.timeout),
        refresh=args.refresh,
        retry=args.retry,
    )
