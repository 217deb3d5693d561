"""``codesign estimate``: predict resources, cycles and clock of a design before training."""

from __future__ import annotations

import argparse

from codesign import design as designs
from codesign import prediction
from codesign.cli import options
from codesign.cli.console import Console, table
from codesign.fpga import devices
from codesign.report import comparison
from codesign.report.data import LayerRow
from codesign.report.layers import layer_rows

NAME = "estimate"
HELP = "predict a design's LUTs, flip-flops, block RAMs, DSPs and clock; count its cycles exactly"
EXAMPLES = """\
  codesign estimate examples/digits_tiny.yaml
  codesign estimate design.yaml --device lfe5u-85f --json
Exit status 3 when the network does not fit the NPU, with every reason and what would help."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser)
    options.device(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    design = designs.load(args.design)
    device = devices.get(args.device or devices.DEFAULT)
    estimate = prediction.estimate_design(design, device.family)
    rows = comparison.rows(estimate.figures, None, None, estimate.intervals)
    console.say(table(("", "estimate"), [row[:2] for row in rows]))
    for note in estimate.notes:
        console.say(f"note: {note}")
    console.say()
    layers = layer_rows(estimate.plan)
    head = ("layer", "op", "output", "MACs", "passes", "cycles", "use")
    console.say(table(head, [_line(row, row.utilisation(design.npu)) for row in layers], left=3))
    console.result(
        {
            **estimate.to_dict(),
            "layers": [
                {
                    "name": row.name,
                    "op": row.op,
                    "cycles": row.cycles,
                    "macs": row.macs,
                    "utilisation": row.utilisation(design.npu),
                }
                for row in layers
            ],
        }
    )
    return 0


def _line(row: LayerRow, utilisation: float) -> tuple[str, ...]:
    if not row.macs:
        return row.name, row.op, row.output, "", "", f"{row.cycles:,}", ""
    work = (f"{row.macs:,}", str(row.passes), f"{row.cycles:,}", f"{100 * utilisation:.1f} %")
    return row.name, row.op, row.output, *work
