"""FPGA parts and their resources, read from constraints/devices.yaml."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from codesign.fpga import families
from codesign.results import Budget, UserError
from models.files import yaml_io
from models.files.nodes import Node, nearest


@dataclass(frozen=True)
class Device:
    """One FPGA part with its resources; constraints/devices.yaml defines what each counts.

    >>> part = get("xc7a50t")
    >>> part.luts, part.brams, part.family
    (32600, 75.0, 'xc7')
    """

    name: str
    vendor: str
    family: str
    """Synthesis family, a key of families.FAMILIES."""
    part: str
    """Full ordering name for the vendor's tools."""
    luts: int
    ffs: int
    brams: float
    """36 Kb block RAMs."""
    dsps: int
    clock_mhz: float | None
    """Clock that designs can be expected to reach on this part; None: each its own, by estimate."""

    def budget(self) -> Budget:
        """Return all resources of the part as a budget, at its clock."""
        return Budget(
            luts=self.luts,
            ffs=self.ffs,
            brams=self.brams,
            dsps=self.dsps,
            clock_mhz=self.clock_mhz,
        )


DEFAULT = "xc7a50t"
"""Part for synthesis (not placement), estimates, reports, project files if none is given."""
ASSUMED = f"no --device was given, so the part is assumed: {DEFAULT}"
"""Note where DEFAULT stands in files or on pages."""
ESTIMATED = "estimated"
"""Clock of a part whose family has a timing model (families.TIMED): that of each NPU."""
_COUNTS = ("luts", "ffs", "dsps")
_KEYS = ("vendor", "family", "part", *_COUNTS, "brams", "clock_mhz")


def read(path: Path) -> dict[str, Device]:
    """Read a device file and return its parts by name. Raises YamlError with file and line."""
    return {name: _device(name, node) for name, node in yaml_io.load(path).mapping().items()}


def _device(name: str, node: Node) -> Device:
    keys = node.fields(_KEYS, _KEYS)
    family, clock = keys["family"].choice(list(families.FAMILIES)), keys["clock_mhz"]
    estimated = family in families.TIMED and clock.value == ESTIMATED
    return Device(
        name=name,
        vendor=keys["vendor"].string(),
        family=family,
        part=keys["part"].string(),
        **{count: keys[count].integer(0) for count in _COUNTS},
        brams=keys["brams"].number(0),
        clock_mhz=None if estimated else clock.number(1, 1000),
    )


def family_of(device: Device | None) -> str:
    """Return the device's family; for None, xc7 (docs/explanation/synthesis.md)."""
    return device.family if device else families.XC7.name


def for_vivado(device: Device | None) -> tuple[Device, str]:
    """Return the part of the Vivado files, and why it is assumed: a sentence, empty if it is not.

    Vivado knows no ECP5: DEFAULT stands for ``device`` then, as it does for None.
    """
    if device is None:
        return get(DEFAULT), ASSUMED
    if device.family != families.XC7.name:
        return get(
            DEFAULT
        ), f"Vivado does not know {device.name}, so the part is assumed: {DEFAULT}"
    return device, ""


@functools.cache
def all_devices() -> dict[str, Device]:
    """Return the parts that ship with the project, by name."""
    with resources.as_file(resources.files("constraints") / "devices.yaml") as path:
        return read(path)


def get(name: str) -> Device:
    """Return the part of that name, in upper or lower case. Raises UserError with similar names."""
    known = all_devices()
    if name.lower() not in known:
        raise UserError(f"no device {name!r}; {nearest(name.lower(), known)}")
    return known[name.lower()]
