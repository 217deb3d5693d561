"""Devices of constraints/devices.yaml and what counts as a LUT, a block RAM, a DSP slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codesign.fpga.devices import DEFAULT, ESTIMATED, all_devices
from codesign.fpga.families import FAMILIES
from docs.generate.markdown import Generator, code, table


def devices() -> str:
    """Every part with what it holds."""
    rows = [
        (
            code(d.name) + (" (default)" if d.name == DEFAULT else ""),
            f"{d.vendor}, {d.family}",
            code(d.part),
            *(f"{n:,g}" for n in (d.luts, d.ffs, d.brams, d.dsps)),
            f"{d.clock_mhz:g}" if d.clock_mhz else ESTIMATED,
        )
        for d in all_devices().values()
    ]
    head = ("device", "family", "part", "LUTs", "flip-flops", "block RAMs", "DSP slices", "MHz")
    return table(head, rows)


def primitives() -> str:
    """What each primitive of a mapped netlist counts as."""
    rows = [
        (code(figure), *(_counts(getattr(family, figure)) for family in FAMILIES.values()))
        for figure in ("luts", "lutrams", "ffs", "brams", "dsps", "free")
    ]
    return table(("figure", *(code(name) for name in FAMILIES)), rows)


def _counts(cells: Mapping[str, float] | Iterable[str]) -> str:
    if isinstance(cells, Mapping):
        return ", ".join(f"{name} {weight:g}" for name, weight in cells.items())
    return ", ".join(sorted(cells))


def commands() -> str:
    rows = [(code(family.name), code(family.command)) for family in FAMILIES.values()]
    return table(("family", "Yosys command, before `-top npu` and `-nodsp`"), rows)


GENERATORS: Mapping[str, Generator] = {
    "devices": devices,
    "primitives": primitives,
    "flows": commands,
}
