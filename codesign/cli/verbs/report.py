"""``codesign report``: write the HTML page of a build or a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign import report
from codesign.cli import options
from codesign.cli.console import Console
from codesign.fpga import devices
from codesign.report import collect

NAME = "report"
HELP = "write the HTML report of a build folder or of a search"
DESCRIPTION = """\
Write one self-contained HTML page about a design: estimated, simulated and
synthesised figures, learning curves, resources against their limits, roofline,
cycles per layer and, for a search, its Pareto front. Missing measurements are
marked as unknown. All resources are of one FPGA family.

Input:   a build folder, or the output folder of codesign explore.
Output:  the page, and its path on stdout.

Exit status: 0 written, 2 bad input."""
EXAMPLES = """\
  codesign report build/digits_tiny
  codesign report runs/explore --out front.html"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="build folder, or output folder of codesign explore",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="HTML file to write (default: DIR/report.html)"
    )
    options.device(
        parser,
        "its resources are the limits where there is no budget (default: that of the build or "
        f"search, else {devices.DEFAULT}, called assumed)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    data = collect.from_folder(args.folder, args.device)
    out: Path = args.out or args.folder / "report.html"
    report.write(data, out)
    console.say(str(out))
    console.result({"report": str(out)})
    return 0
