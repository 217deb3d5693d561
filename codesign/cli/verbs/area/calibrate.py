"""``codesign calibrate``: fit the area model to the user's own synthesis flow."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from codesign import design
from codesign.cli.console import Console, table
from codesign.cost import calibration
from codesign.cost.area import model_file
from codesign.cost.calibration import Fitted
from codesign.fpga import flow_reports
from codesign.results import Figures, UserError
from rtl_gen.config import NpuConfig

NAME = "calibrate"
HELP = "fit the area estimates to your own synthesis flow, from a few of its reports"
DESCRIPTION = """\
Fit the area model, which predicts what Yosys counts, to another synthesis flow:
for each resource, the factor between the flow's counts and the estimates, and its
deviation from design to design.

Input:   two or more designs, each with its utilisation report from that flow.
Output:  a model file for codesign explore --area-model; factors, deviations and
         90 % intervals before and after, relative to the estimate.

Exit status: 0 success, 2 bad input, or the model file cannot be written."""
EXAMPLES = """\
  codesign calibrate runs/a=a_util.rpt runs/b=b_util.rpt runs/c=c_util.rpt --out my_flow.json
  codesign explore --lut-budget 30000 --area-model my_flow.json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "reports",
        nargs="+",
        metavar="DESIGN=REPORT",
        help="a design file or build folder, and its report: Vivado's report_utilization (text), "
        "Yosys's stat -json or nextpnr-ecp5's --report; two or more, of different NPUs",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="model file to write, in JSON (required)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    reports = [_report(text) for text in args.reports]
    model, fitted = calibration.calibrate(model_file.load(), reports)
    try:
        _show(fitted, len(reports), console)
        calibrated = calibration.to_dict(fitted)
        console.result({"model": str(args.out), "reports": len(reports), **calibrated})
    finally:  # also where nobody reads the answer to its end
        model_file.write(args.out, model)
    console.say(f"model file: {args.out}")
    return 0


def _show(fitted: Mapping[str, Fitted], reports: int, console: Console) -> None:
    rows = [
        (
            name,
            f"{one.calibration.factor:.3f}",
            f"{100 * one.calibration.deviation:.1f} %",
            "{:+.1f} .. {:+.1f} %".format(*(100 * end for end in one.before)),
            "{:+.1f} .. {:+.1f} %".format(*(100 * end for end in one.after)),
        )
        for name, one in fitted.items()
    ]
    head = ("resource", "factor", "deviation", "90 % interval before", "after")
    console.say(table(head, rows))
    needed = fitted["luts"].enough
    if reports < needed:
        console.say(
            f"{reports} reports; from about {needed} on, the interval is as narrow as the "
            "deviation of your flow allows"
        )


def _report(text: str) -> tuple[NpuConfig, Figures]:
    where, equals, report = text.rpartition("=")
    if not equals or not where or not report:
        raise UserError(f"must be DESIGN=REPORT, not {text!r}")
    path = Path(where)
    file = path / "design.yaml" if path.is_dir() else path
    return design.load(file).npu, flow_reports.read(Path(report))
