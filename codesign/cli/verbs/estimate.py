"""``codesign estimate``: predict resources, cycles and clock of a design before training."""

from __future__ import annotations

import argparse

from codesign import design as designs
from codesign import prediction
from codesign.build import imported, imported_build
from codesign.build.floats import subjects
from codesign.cli import float_networks, imported_networks, options
from codesign.cli.console import Console, table
from codesign.fpga import devices
from codesign.prediction import DesignEstimate
from codesign.report import comparison
from codesign.report.data import LayerRow
from codesign.report.layers import layer_rows

NAME = "estimate"
HELP = "predict a design's resources, cycles and clock, without training or synthesis"
DESCRIPTION = """\
Predict the LUTs, flip-flops, block RAMs and DSP slices of a design with 90 %
intervals, compute its clock cycles per image and per layer with the compiler's
schedule, and, for ECP5, predict its highest clock. Takes seconds; nothing is
trained, synthesised or written.

Input:   a design file, or a network folder and its NPU (--npu).
Output:  a table of resources and throughput, and one of layers.

Exit status: 0 success, 2 bad input, 3 the NPU cannot run the network, with all
reasons and what would help."""
EXAMPLES = """\
  codesign estimate examples/digits_tiny.yaml
  codesign estimate design.yaml --device lfe5u-85f --json
  codesign estimate resnet8/ --npu npu.yaml"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser, or_network=True)
    imported_networks.npu_option(parser)
    options.device(parser, f"resources are those of its family (default: {devices.DEFAULT})")


def run(args: argparse.Namespace, console: Console) -> int:
    device = devices.get(args.device or devices.DEFAULT)
    estimate = _estimate(args, device.family)
    npu = estimate.plan.schedule.config
    rows = comparison.rows(estimate.figures, None, None, estimate.intervals)
    console.say(table(("", "estimate"), [row[:2] for row in rows]))
    for note in estimate.notes:
        console.say(f"note: {note}")
    console.say()
    layers = layer_rows(estimate.plan)
    head = ("layer", "op", "output", "MACs", "passes", "cycles", "utilisation", "bound by")
    console.say(table(head, [_line(row, row.utilisation(npu)) for row in layers], left=3))
    console.result(
        {
            **estimate.to_dict(),
            "layers": [
                {
                    "name": row.name,
                    "op": row.op,
                    "cycles": row.cycles,
                    "macs": row.macs,
                    "utilisation": row.utilisation(npu),
                    "bound": row.bound,
                }
                for row in layers
            ],
        }
    )
    return 0


def _estimate(args: argparse.Namespace, family: str) -> DesignEstimate:
    if imported.is_network(args.design) and subjects.is_float(args.design):
        return float_networks.estimate(args.design, args.npu, family)
    if imported.is_network(args.design):
        design, network = imported_networks.design_of(args.design, args.npu)
        plan = imported_build.lower(design, network).compiled.plan
        return prediction.estimate_plan(plan, design.clock_mhz, family)
    imported_networks.refuse(args, ("npu",), "is for network folders alone")
    return prediction.estimate_design(designs.load(args.design), family)


def _line(row: LayerRow, utilisation: float) -> tuple[str, ...]:
    if not row.macs:
        return row.name, row.op, row.output, "", "", f"{row.cycles:,}", "", ""
    work = (f"{row.macs:,}", str(row.passes), f"{row.cycles:,}", f"{100 * utilisation:.1f} %")
    return row.name, row.op, row.output, *work, row.bound
