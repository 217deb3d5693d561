"""``codesign compare``: several builds and searches side by side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from codesign.cli.console import Console, table
from codesign.report import runs, versus
from codesign.report.runs import Run
from codesign.results import UserError

NAME = "compare"
HELP = "show several builds and searches side by side"
DESCRIPTION = """\
Show builds and searches side by side: data set, test accuracy, images/s, cycles
per image, resources as synthesised and as estimated, array and bit widths; for
searches also their Pareto fronts, and which of their designs another search
beats: no worse in validation accuracy, images/s and LUTs, and better in one.
Fronts are compared on the same data alone.

Input:   two or more build folders or output folders of codesign explore.
Output:  tables on stdout; with --out one self-contained HTML page, with a chart
         of all fronts.

Exit status: 0 success, 2 bad input, or the page cannot be written."""
EXAMPLES = """\
  codesign compare runs/small runs/large
  codesign compare runs/explore build/digits_tiny --out compare.html
  codesign compare runs/small runs/large --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="build folder, or output folder of codesign explore; two or more",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="HTML file to write (default: no page)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    if len(args.runs) < 2:
        raise UserError(f"compare needs two or more folders, not {args.runs[0]} alone")
    found = runs.read(args.runs)
    page = {} if args.out is None else {"page": str(args.out)}
    try:
        _show(found, console)
        console.result({**versus.to_dict(found), **page})
    finally:  # also where nobody reads the answer to its end
        if args.out is not None:
            versus.write(found, args.out)
    if args.out is not None:
        console.say()
        console.say(f"page: {args.out}")
    return 0


def _show(found: Sequence[Run], console: Console) -> None:
    console.say(table(("", *(one.name for one in found)), versus.rows(found)))
    fronts = versus.front_rows(found)
    if fronts:
        console.say()
        console.say(table(versus.FRONT_HEAD, fronts, left=2))
    for note in runs.notes(found):
        console.say(f"note: {note}")
