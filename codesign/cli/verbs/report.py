"""``codesign report``: write the HTML page of a build or a search."""

from __future__ import annotations

import argparse
from pathlib import Path

from codesign import report
from codesign.cli import options
from codesign.cli.console import Console
from codesign.report import collect

NAME = "report"
HELP = "write report.html for a build folder or a folder of codesign explore"
EXAMPLES = """\
  codesign report build/digits_tiny
  codesign report runs/explore --out front.html"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="a build folder, or one of codesign explore"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: DIR/report.html)"
    )
    options.device(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    data = collect.from_folder(args.folder, args.device)
    out: Path = args.out or args.folder / "report.html"
    report.write(data, out)
    console.say(str(out))
    console.result({"report": str(out)})
    return 0
