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
HELP = "synthesise (or place) sampled NPUs and append them to the data that estimates learn from"
EXAMPLES = """\
  codesign characterize --count 640 --max-luts 60000
  codesign characterize --count 700 --near 30000     # where intervals are widest near a budget
  codesign characterize --refresh                    # after a change of the generator
  codesign characterize --place 60 --max-luts 5000   # clocks: place and route on an ECP5
Goes on after a kill; no configuration is measured twice. Exit status 1 when a tool failed on one:
it is recorded beside the data, and not tried again without --retry."""


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--count", type=options.integer(1), metavar="N",
        help=f"configurations that the data shall hold (default: {COUNT})",
    )  # fmt: skip
    what.add_argument(
        "--place",
        type=options.integer(1),
        metavar="N",
        help="place and route configurations of the data, until the clocks of N are known; "
        f"{timing_data.DEVICE}, minutes each",
    )
    parser.add_argument(
        "--max-luts", type=options.number(1000), default=60000.0, metavar="N",
        help="largest NPU, of a 7-series part; by its analytic count while it is not synthesised "
        "(default: 60000)",
    )  # fmt: skip
    parser.add_argument(
        "--near", type=options.number(1000), metavar="LUTS",
        help="only NPUs within 10 %% of this budget, those with the widest intervals first",
    )  # fmt: skip
    parser.add_argument(
        "--jobs",
        type=options.integer(1, 256),
        default=2,
        metavar="N",
        help="side by side (default: 2)",
    )
    parser.add_argument(
        "--seed", type=options.integer(0), metavar="N", help="of the sample (default: 0)"
    )
    parser.add_argument(
        "--timeout", type=options.number(1), default=TIMEOUT_S, metavar="S",
        help=f"seconds that each tool may take on one (default: {TIMEOUT_S:g})",
    )  # fmt: skip
    parser.add_argument("--refresh", action="store_true", help="measure outdated rows again")
    parser.add_argument("--retry", action="store_true", help="also what failed before")
    parser.add_argument(
        "--data", type=Path, default=dataset.SHIPPED, metavar="FILE",
        help="the synthesis data to extend, clocks in the file beside it (default: the shipped)",
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
            raise UserError(f"--{name} samples what --place does not: it takes what is synthesised")
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
