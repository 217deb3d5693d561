"""Place and route by nextpnr-ecp5: the highest clock of a design and its critical path.

The netlist is synthesised hierarchically, as for counting (codesign.fpga.synthesis), and flattened
after mapping, which takes seconds and keeps block names in the names of cells and nets.
docs/explanation/timing.md describes the measurement.
"""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.fpga import families, nextpnr, yosys
from codesign.fpga.devices import Device
from codesign.fpga.verilog_text import self_contained
from codesign.results import UserError
from codesign.tools import processes
from codesign.tools.processes import ToolError
from models.files.names import Sources, identifier, verilog_file
from sim.process import within

DEVICE = "lfe5u-85f"
"""Part that ``codesign synth --place`` takes if no device is given."""
TARGET_MHZ = 150.0
"""Default target clock of placer and router, which stop improving when they reach it."""
SPEED_GRADE = 6
"""ECP5 speed grade of all placements: the slowest."""
TIMEOUT_S = 7200.0
_NETLIST, _REPORT, _CACHE = "npu.json", "report.json", "place"
_MAPPED = re.compile(
    r"(_(LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_FF|TRELLIS_DPR16X4|DP16KD|MULT18X18D)(_|$).*)"
    r"|\$(CCU2|nextpnr).*|(\.memory\.\d+\.\d+.*)"
)
"""Pattern of the suffixes that mapping and packing append to the Verilog name of a net."""


@dataclass(frozen=True)
class Hop:
    """A signal on the critical path. Made by ``critical_path``."""

    name: str
    """Verilog name of the cell that drives the signal: ``block.block.net``."""
    logic_ns: float
    """Delay from inputs (or clock) to output, summed over its cells if they are several."""
    routing_ns: float
    """Routing delay from that output to the next hop, and between its cells."""


@dataclass(frozen=True)
class CriticalPath:
    """The register-to-register path that limits the clock. Made by ``critical_path``."""

    start: str
    """Verilog name of the first register."""
    end: str
    """Verilog name of the last register."""
    logic_ns: float
    """Clock-to-output, cell and set-up delays."""
    routing_ns: float
    hops: tuple[Hop, ...]
    """Signals in order from the first register; consecutive cells of one name are one hop."""


@dataclass(frozen=True)
class Placement:
    """Result of place and route. Made by ``place_and_route``."""

    fmax_mhz: float
    """Highest clock frequency."""
    target_mhz: float
    """Clock frequency that placer and router aimed at."""
    critical_path: CriticalPath
    used: Mapping[str, int]
    """Number of used cells by nextpnr's cell type (TRELLIS_COMB, TRELLIS_FF, DP16KD, ...)."""
    device: str
    speed_grade: int
    seed: int
    """Seed of the placer."""
    seconds: float
    """Wall time of synthesis, place and route in seconds; a cached result keeps that of its run."""
    tool_version: str
    synthesis_version: str


def netlist_script(files: tuple[str, ...], *, top: str = "npu", dsps: bool = False) -> str:
    """Return the Yosys script that maps ``files`` to ECP5 and writes the netlist to npu.json.

    The netlist, of module ``top`` and those below it, is flattened after mapping. dsps: let Yosys
    use DSP slices. Raises FileError for a file or top whose name cannot stand in a script.
    """
    for file in files:
        verilog_file(file)
    identifier(top, "Verilog module")
    command = families.ECP5.command + ("" if dsps else " -nodsp")
    return (
        f"read_verilog {' '.join(files)}\n{command} -top {top}\n"
        f"setattr -mod -unset keep_hierarchy\nflatten\nopt_clean\nwrite_json {_NETLIST}\n"
    )


def place_and_route(
    verilog: Mapping[str, str],
    device: Device,
    top: str = "npu",
    *,
    dsps: bool = False,
    target_mhz: float = TARGET_MHZ,
    seed: int = 1,
    timeout_s: float = TIMEOUT_S,
    cache: bool = True,
) -> Placement:
    """Synthesise, place and route ``verilog`` (file name -> text) on an ECP5 ``device``.

    Placement is out of context (no pins), so the clock is limited by register-to-register paths
    only. dsps: let Yosys use DSP slices. target_mhz: clock at which placer and router stop
    improving. seed: of the placer. timeout_s: time limit on both tools together. cache: keep the
    result per user, by content of files, options and tool versions, and return a kept one.

    Raises ToolError (yosys.YosysError, nextpnr.NextpnrError) when a tool fails or is out of time,
    or the design does not fit the device or has not exactly one clock; UserError for a device of
    another family or a missing tool; ValueError if no path runs from register to register (or
    several are reported); OSError on a full disk.
    """
    mapper, placer = yosys.find(), nextpnr.find()
    verilog = Sources.of(verilog).texts
    cache = cache and self_contained(verilog)
    script = netlist_script(tuple(verilog), top=top, dsps=dsps)
    options = _options(device, target_mhz, seed)
    versions = [mapper.version, placer.version]
    key = processes.content_hash([versions, script, options, dict(verilog)])
    report = processes.cached(_CACHE, key) if cache else None
    if report is None:
        start = time.monotonic()
        with within(timeout_s, "place and route", ToolError) as left:
            netlist = mapper.run(script, verilog, _NETLIST, left()).result
            run = placer.run(options, {_NETLIST: netlist}, _REPORT, left())
        report = {**json.loads(run.result), "seconds": time.monotonic() - start}
        if cache:
            processes.keep(_CACHE, key, report)
    return Placement(
        fmax_mhz=fmax_mhz(report),
        target_mhz=target_mhz,
        critical_path=critical_path(report),
        used={cell: n["used"] for cell, n in report["utilization"].items() if n["used"]},
        device=device.name,
        speed_grade=SPEED_GRADE,
        seed=seed,
        seconds=report["seconds"],
        tool_version=placer.version,
        synthesis_version=mapper.version,
    )


def _options(device: Device, target_mhz: float, seed: int) -> tuple[str, ...]:
    match = re.fullmatch(r"lfe5u-(\d\d)f", device.name)
    if match is None:
        raise UserError(
            f"place and route knows Lattice ECP5 only (lfe5u-25f, -45f, -85f), not {device.name}"
        )
    return (
        *("--json", _NETLIST, "--report", _REPORT, "--timing-allow-fail", "--out-of-context"),
        *(f"--{match[1]}k", "--speed", str(SPEED_GRADE)),
        *("--freq", f"{target_mhz:g}", "--seed", str(seed)),
    )


def fmax_mhz(report: Mapping[str, Any]) -> float:
    """Return the highest clock, in MHz, of the only clock domain in nextpnr's JSON report.

    Raises NextpnrError for a report of no clock or several.
    """
    clocks = report["fmax"]
    if len(clocks) != 1:
        raise nextpnr.NextpnrError(f"one clock expected, nextpnr reports {sorted(clocks)}")
    (clock,) = clocks.values()
    return float(clock["achieved"])


def critical_path(report: Mapping[str, Any]) -> CriticalPath:
    """Return the critical path within the only clock domain in nextpnr's JSON report.

    Raises ValueError for a report without such a path, or of several.
    """
    (path,) = (
        path["path"]
        for path in report["critical_paths"]
        if path["from"] == path["to"] and path["from"].startswith("posedge")
    )
    hops: list[Hop] = []
    for step in path[:-1]:  # the last step is the set-up time
        name, delay = readable(step["from"]["cell"]), step["delay"]
        wire = step["type"] == "routing"
        if not wire and not (hops and hops[-1].name == name):
            hops.append(Hop(name, 0.0, 0.0))
        last = hops[-1]
        hops[-1] = Hop(
            last.name,
            last.logic_ns + (0.0 if wire else delay),
            last.routing_ns + (delay if wire else 0.0),
        )
    return CriticalPath(
        start=readable(path[0]["from"]["cell"]),
        end=readable(path[-1]["to"]["cell"]),
        logic_ns=sum(step["delay"] for step in path if step["type"] != "routing"),
        routing_ns=sum(step["delay"] for step in path if step["type"] == "routing"),
        hops=tuple(hops),
    )


def readable(cell: str) -> str:
    """Return a cell name without mapping suffixes, which is the name of its Verilog net.

    A name that is nothing but such a suffix is returned as it is.
    """
    return _MAPPED.sub("", cell) or cell


def to_dict(placement: Placement) -> dict[str, Any]:
    """Return the fields as nested dicts, the content of reports/timing.json."""
    return dataclasses.asdict(placement)
