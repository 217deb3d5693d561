"""``codesign synth``: synthesise a build folder; with ``--place``, place and route it as well."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from codesign.build.imported import ImportedDesign
from codesign.cli import options
from codesign.cli.console import Console, table
from codesign.design import Design
from codesign.fpga import devices, placement, synthesis
from codesign.fpga.devices import Device
from codesign.fpga.placement import Placement
from codesign.fpga.synthesis import Synthesis
from codesign.report.collect import SYNTHESIS, TIMING
from codesign.results import UserError
from codesign.tools.processes import ToolError
from models.files.reading import read_text, told_as
from rtl_gen.naming import Names
from sim.process import within
from sim.tools import plain, provenance

NAME = "synth"
HELP = "synthesise a build folder with Yosys and count LUTs, flip-flops, block RAMs, DSP slices"
DESCRIPTION = """\
Synthesise the Verilog of a build folder with Yosys and count its resources:
luts (lutrams: the part used as RAM and shift registers), ffs, brams (36 Kb
blocks), dsps. With --place, nextpnr also places and routes it on a Lattice
ECP5, out of context, and reports the highest clock (fmax_mhz).

Input:   a build folder.
Output:  a table; reports/synthesis.json in the build folder and, with --place,
         reports/timing.json.

Exit status: 0 success, 1 --lut-budget exceeded or a tool failed, 2 bad input,
missing tool, or a good result whose reports could not be written."""
EXAMPLES = """\
  codesign synth build/digits_tiny
  codesign synth build/digits_tiny --device lfe5u-85f --json
  codesign synth build/digits_tiny --flatten
  codesign synth build/digits_tiny --place
  codesign synth build/digits_tiny --lut-budget 2000"""
_TIMEOUT_S = 3600.0


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser)
    options.device(
        parser,
        f"synthesis is for its family (default: {devices.DEFAULT}; with --place, "
        f"{placement.DEVICE})",
    )
    parser.add_argument(
        "--lut-budget",
        type=options.number(1),
        metavar="N",
        help="most LUTs; exit status 1 if the design takes more (default: no limit)",
    )
    parser.add_argument(
        "--flatten",
        action="store_true",
        help="synthesise flattened as well, as most flows around Yosys do, and let luts be the "
        "larger count; takes two to four times as long",
    )
    parser.add_argument(
        "--place",
        action="store_true",
        help="place and route with nextpnr on an ECP5, speed grade "
        f"{placement.SPEED_GRADE}: adds fmax_mhz (in MHz) and the critical path; takes minutes for "
        "10,000 LUTs",
    )
    options.timeout(parser, "synthesis, place and route", _TIMEOUT_S)
    parser.add_argument(  # the option of release 0.2, in minutes
        "--time-limit", dest="timeout", type=_minutes, default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )  # fmt: skip
    options.trust(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    design = options.load_build(args.build)
    device = devices.get(args.device or (placement.DEVICE if args.place else devices.DEFAULT))
    verilog = _verilog(args, design, console)
    with within(args.timeout, "synth", ToolError) as left:
        placed = _place(design, device, verilog, left(), console) if args.place else None
        kind: dict[str, Any] = {"dsps": design.npu.uses_dsps, "family": device.family}
        with console.stage("synthesis", expected_s=20 + design.npu.macs / 4):
            result = synthesis.synthesise(verilog, timeout_s=left(), **kind)
        if args.flatten:
            with console.stage("flattened synthesis", expected_s=40 + design.npu.macs / 2):
                flat = synthesis.synthesise(verilog, flatten=True, timeout_s=left(), **kind)
            result = result.beside(flat)
    timing: dict[str, object] = {}
    if placed is not None:
        fmax = dataclasses.replace(result.figures, fmax_mhz=placed.fmax_mhz)
        result = dataclasses.replace(result, figures=fmax)
        timing = {TIMING: placement.to_dict(placed)}
    report = synthesis.to_dict(result)
    try:
        _show(result, device, placed, console)
        console.result({**result.figures.to_dict(), **report, **timing})
        good = _within(args.lut_budget, device if args.device else None, result, console)
    finally:  # also where nobody reads the answer to its end
        status = options.add_reports(args.build, {**timing, SYNTHESIS: report}, console)
    return status if good else 1


def _minutes(text: str) -> float:
    return 60 * options.number(1)(text)


def _show(found: Synthesis, device: Device, placed: Placement | None, console: Console) -> None:
    rows = [(name, f"{n:,g}") for name, n in found.figures.to_dict().items()]
    console.say(table(("resource", device.family), rows))
    if found.flattened is not None:
        console.say(f"flattened: {found.flattened.luts:,g} LUTs; luts is the larger of both")
    if placed is not None:
        console.say(_path(placed))


def _verilog(
    args: argparse.Namespace, design: Design | ImportedDesign, console: Console
) -> dict[str, str]:
    """Return the Verilog of the build folder with plain names, text by file name.

    What Yosys will read is said. Raises UserError for Verilog that is not plain, unless trusted.
    """
    with told_as(UserError):
        named = {path.name: read_text(path) for path in sorted((args.build / "rtl").glob("*.v"))}
    console.warn(provenance.described(args.build, named, "Yosys"))
    refused = None if args.trust else plain.refusal(named)
    if refused:
        raise UserError(refused)
    return Names.of_files(design.npu, named).unnamed(named)


def _within(
    budget: float | None, device: Device | None, found: Synthesis, console: Console
) -> bool:
    """Return False, and say so, if the design takes more LUTs than the budget, cut to the device's.

    budget, device: as asked for; without a budget nothing is too large.
    """
    luts = found.figures.luts or 0
    if budget is not None and device is not None and budget > device.luts:
        console.warn(f"{device.name} holds {device.luts:,} LUTs, so the budget is cut to that")
        budget = device.luts
    if budget is None or luts <= budget:
        return True
    console.warn(f"{luts:,.0f} LUTs exceed the budget of {budget:,.0f}")
    return False


def _place(
    design: Design | ImportedDesign,
    device: Device,
    verilog: Mapping[str, str],
    timeout_s: float,
    console: Console,
) -> Placement:
    """Place and route the design, from its Verilog (text by file name).

    timeout_s: limit of both tools in seconds. Done before the synthesis that counts, to report a
    missing nextpnr at once.
    """
    with console.stage("place and route", expected_s=60 + design.npu.macs):
        return placement.place_and_route(
            verilog, device, dsps=design.npu.uses_dsps, timeout_s=timeout_s
        )


def _path(placed: Placement) -> str:
    """Return the critical path as text: device, sums of delays, and a table of its signals."""
    path = placed.critical_path
    head = (
        f"\ncritical path on {placed.device}, speed grade {placed.speed_grade}: "
        f"{path.logic_ns:.2f} ns logic, {path.routing_ns:.2f} ns routing"
    )
    rows = [(hop.name, f"{hop.logic_ns:.2f}", f"{hop.routing_ns:.2f}") for hop in path.hops]
    titles = ("signal", "logic, ns", "routing, ns")
    return f"{head}\n{table(titles, [*rows, (path.end, '', '')])}"
