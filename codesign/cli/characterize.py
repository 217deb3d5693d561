"""``codesign characterize``: more synthesised NPUs for the area model."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from codesign.cli import options
from codesign.cli.console import Console
from codesign.cost import dataset, sampling
from codesign.cost.characterize import TIMEOUT_S, characterize, measure

NAME = "characterize"
HELP = "synthesise sampled NPUs and append them to the data that the area model learns from"
EXAMPLES = """\
  codesign characterize --count 640 --max-luts 60000
  codesign characterize --count 700 --near 30000     # where intervals are widest near a budget
  codesign characterize --refresh                    # after a change of the generator
Goes on after a kill; no configuration is synthesised twice. Exit status 1 when a synthesis failed:
it is recorded beside the data, and not tried again without --retry."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=options.integer(1), default=160, metavar="N",
        help="configurations that the data shall hold (default: 160)",
    )  # fmt: skip
    parser.add_argument(
        "--max-luts", type=options.number(1000), default=60000.0, metavar="N",
        help="largest NPU, by its analytic count (default: 60000)",
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
        help="syntheses side by side",
    )
    parser.add_argument(
        "--seed", type=options.integer(0), default=0, metavar="N", help="default: 0"
    )
    parser.add_argument(
        "--timeout", type=options.number(1), default=TIMEOUT_S, metavar="S",
        help=f"seconds that a synthesis may take (default: {TIMEOUT_S:g})",
    )  # fmt: skip
    parser.add_argument("--refresh", action="store_true", help="measure outdated rows again")
    parser.add_argument("--retry", action="store_true", help="also what failed before")
    parser.add_argument(
        "--data", type=Path, default=dataset.SHIPPED, metavar="FILE",
        help="the CSV to extend (default: the shipped one)",
    )  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> int:
    if args.near:
        from codesign.cost.area import AreaModel

        configs = sampling.near(AreaModel.load(args.data), args.near, args.count, args.seed)
    else:
        configs = sampling.sample(args.count, args.max_luts, args.seed)
    failures = characterize(
        configs,
        args.data,
        args.count,
        args.jobs,
        console.say,
        functools.partial(measure, timeout_s=args.timeout),
        refresh=args.refresh,
        retry=args.retry,
    )
    console.result(
        {
            "data": str(args.data),
            "rows": len(dataset.read(args.data)) if args.data.exists() else 0,
            "failures": [{"config": config.to_dict(), "reason": why} for config, why in failures],
        }
    )
    return 1 if failures else 0
