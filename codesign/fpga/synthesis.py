"""Synthesis by Yosys: resources of a Verilog design on AMD 7-series or Lattice ECP5.

The reference flow is ``synth_xilinx -family xc7``, hierarchical (each module is mapped once and
counted once per instance), without IO pads and clock buffers. The flattened one is a check.
docs/explanation/synthesis.md defines what counts as a LUT and gives the reasons for this flow.
"""

from __future__ import annotations

import dataclasses
import graphlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codesign.fpga import families, yosys
from codesign.fpga.families import Family
from codesign.fpga.verilog_text import self_contained
from codesign.results import Figures
from codesign.tools import processes
from models.files.names import Sources, identifier, verilog_file

_RESULT = "stat.json"
_CACHE = "synth"
_TIMEOUT_S = 1800.0
MOST_INSTANCES = 10**9
"""Most instances of one module in a design."""

Modules = dict[str, dict[str, int]]
"""Count of each cell type (or instantiated module) by its name, by module."""


@dataclass(frozen=True)
class ModuleUse:
    """Number of instances of a module and the resources of each. Made by ``synthesise``."""

    instances: int
    each: Figures
    """Resources of one instance, without those of the modules that it instantiates."""


@dataclass(frozen=True)
class Synthesis:
    """Synthesis result: resources of the whole design and per module. Made by ``synthesise``."""

    figures: Figures
    """luts, lutrams, ffs, brams and dsps of the whole design; where there is ``flattened``, luts is
    the larger of both."""
    cells: Mapping[str, int]
    """Count over the whole design, by primitive."""
    by_module: Mapping[str, ModuleUse]
    """``instances``, and ``each``: figures of one instance, of each module in use, by its name in
    Yosys."""
    family: str
    flow: str
    """The Yosys command without -top and -nodsp."""
    seconds: float
    """Wall time in seconds of the Yosys run; a cached result keeps that of its run."""
    tool_version: str
    warnings: tuple[str, ...]
    """Distinct warning lines of Yosys, in order."""
    flattened: Figures | None = None
    """Resources of the design flattened, except for modules whose Verilog says ``keep_hierarchy``;
    None if it was not synthesised so."""

    def beside(self, flat: Synthesis) -> Synthesis:
        """Return this hierarchical synthesis with that of the flattened design, ``flat``."""
        most = max(self.figures.luts or 0, flat.figures.luts or 0)
        figures = dataclasses.replace(self.figures, luts=most)
        return dataclasses.replace(self, figures=figures, flattened=flat.figures)


def script(
    files: tuple[str, ...],
    *,
    top: str = "npu",
    family: str = "xc7",
    dsps: bool = False,
    flatten: bool = False,
) -> str:
    """Return the Yosys script that synthesises ``files`` and writes statistics to stat.json.

    family: a key of families.FAMILIES. dsps: let Yosys use DSP slices. flatten: dissolve modules
    that need not be kept. Raises UserError for an unknown family, FileError for a file or top whose
    name cannot stand in a script.
    """
    for file in files:
        verilog_file(file)
    identifier(top, "Verilog module")
    command = f"{_flow(family, flatten)} -top {top}" + ("" if dsps else " -nodsp")
    return f"read_verilog {' '.join(files)}\n{command}\ntee -q -o {_RESULT} stat -json\n"


def _flow(family: str, flatten: bool) -> str:
    return families.get(family).flat if flatten else families.get(family).command


def synthesise(
    verilog: Mapping[str, str],
    top: str = "npu",
    *,
    dsps: bool = False,
    family: str = "xc7",
    flatten: bool = False,
    timeout_s: float = _TIMEOUT_S,
    cache: bool = True,
) -> Synthesis:
    """Synthesise ``verilog`` (file name -> text) and count the resources that it takes.

    The whole design is always mapped in one run, so the count depends on ``verilog``, the flow and
    the version of Yosys alone: what a module takes varies by a LUT or two with the modules that
    Yosys has mapped before it, so no count is put together from those of other designs.

    Files whose names cannot stand in a script are read under names of ours (Sources).
    dsps: let Yosys use DSP slices. flatten: dissolve modules that need not be kept. cache: keep the
    result per user, by content, flow and version of Yosys, and return a kept one, unless the
    Verilog reads other files. top: a module of ``verilog``.

    Raises yosys.YosysError when Yosys fails (as where ``top`` is unknown), takes more than
    ``timeout_s`` seconds or leaves cells that the family does not list; UserError if no Yosys is
    found or the family is unknown; OSError on a full disk.
    """
    tool = yosys.find()
    sources = Sources.of(verilog)
    verilog, files = sources.texts, tuple(sources.texts)
    cache = cache and self_contained(verilog)
    commands = script(files, top=top, family=family, dsps=dsps, flatten=flatten)
    key = processes.content_hash([tool.version, commands, dict(verilog)])
    report: dict[str, Any] | None = processes.cached(_CACHE, key) if cache else None
    if report is None:
        start = time.monotonic()
        with sources.told(yosys.YosysError):
            run = tool.run(commands, verilog, _RESULT, timeout_s)
        report = {
            "modules": module_cells(json.loads(run.result)),
            "seconds": time.monotonic() - start,
            "warnings": run.warnings,
        }
        if cache:
            processes.keep(_CACHE, key, report)
    return _count(report, top, families.get(family), _flow(family, flatten), tool.version)


def module_cells(stat: Mapping[str, Any]) -> Modules:
    """Return the cells of each module from Yosys's ``stat -json``, without a backslash in front.

    Those are primitives and instantiated modules.
    """
    return {
        _plain(module): {
            _plain(cell): int(count) for cell, count in body.get("num_cells_by_type", {}).items()
        }
        for module, body in stat["modules"].items()
    }


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def _count(report: dict[str, Any], top: str, family: Family, flow: str, version: str) -> Synthesis:
    modules: Modules = report["modules"]
    instances = count_instances(modules, top)
    own = {
        name: Counter({cell: n for cell, n in modules[name].items() if cell not in modules})
        for name in instances
    }
    total: Counter[str] = Counter()
    for name, copies in instances.items():
        for cell, count in own[name].items():
            total[cell] += copies * count
    return Synthesis(
        figures=family.figures(total),
        cells=dict(sorted(total.items())),
        by_module={
            name: ModuleUse(copies, family.figures(own[name])) for name, copies in instances.items()
        },
        family=family.name,
        flow=flow,
        seconds=report["seconds"],
        tool_version=version,
        warnings=tuple(report["warnings"]),
    )


def count_instances(modules: Mapping[str, Mapping[str, int]], top: str) -> dict[str, int]:
    """Count the instances of each module in the hierarchy of ``top``, ``top`` included.

    modules: module -> its cells and modules with their counts. Raises ValueError for a module that
    holds itself, also through others (graphlib.CycleError), or that has more than MOST_INSTANCES
    instances.
    """
    inside = {name: [cell for cell in cells if cell in modules] for name, cells in modules.items()}
    found = Counter({top: 1})
    for name in reversed(list(graphlib.TopologicalSorter(inside).static_order())):
        for cell in inside[name]:
            found[cell] += found[name] * modules[name][cell]
            if found[cell] > MOST_INSTANCES:
                raise ValueError(f"{cell} has more than {MOST_INSTANCES} instances")
    return {name: copies for name, copies in found.items() if copies}


def to_dict(synthesis: Synthesis) -> dict[str, Any]:
    """Return the fields as nested dicts, the content of reports/synthesis.json."""
    result = dataclasses.asdict(synthesis)
    result["figures"] = synthesis.figures.to_dict()
    result["flattened"] = synthesis.flattened.to_dict() if synthesis.flattened else None
    for use, plain in zip(synthesis.by_module.values(), result["by_module"].values(), strict=True):
        plain["each"] = use.each.to_dict()
    return result
