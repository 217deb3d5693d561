"""The FPGA parts of constraints/devices.yaml."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from codesign.fpga import families
from codesign.results import Budget, UserError
from models import yaml_io


@dataclass(frozen=True)
class Device:
    """One part and what it holds; the file says what counts as what."""

    name: str
    vendor: str
    family: str
    part: str
    luts: int
    ffs: int
    brams: float
    dsps: int
    clock_mhz: float

    def budget(self) -> Budget:
        """The whole part, at its clock."""
        return Budget(
            luts=self.luts,
            ffs=self.ffs,
            brams=self.brams,
            dsps=self.dsps,
            clock_mhz=self.clock_mhz,
        )


DEFAULT = "xc7a50t"
"""The part that project files name when nobody chose one."""
_COUNTS = ("luts", "ffs", "dsps")
_KEYS = ("vendor", "family", "part", *_COUNTS, "brams", "clock_mhz")


def read(path: Path) -> dict[str, Device]:
    """Part name -> Device. Raises YamlError, with file and line, for any other key or value."""
    return {name: _device(name, node) for name, node in yaml_io.load(path).mapping().items()}


def _device(name: str, node: yaml_io.Node) -> Device:
    keys = node.fields(_KEYS, _KEYS)
    return Device(
        name=name,
        vendor=keys["vendor"].string(),
        family=keys["family"].choice(list(families.FAMILIES)),
        part=keys["part"].string(),
        **{count: keys[count].integer(0) for count in _COUNTS},
        brams=keys["brams"].number(0),
        clock_mhz=keys["clock_mhz"].number(1, 1000),
    )


def family_of(device: Device | None) -> str:
    """Its family; where nobody chose one, the reference's (docs/explanation/synthesis.md)."""
    return device.family if device else families.XC7.name


@functools.cache
def all_devices() -> dict[str, Device]:
    """The parts that ship with the project."""
    with resources.as_file(resources.files("constraints") / "devices.yaml") as path:
        return read(path)


def get(name: str) -> Device:
    """The part of that name, in any case. Raises UserError with the nearest names."""
    known = all_devices()
    if name.lower() not in known:
        raise UserError(f"no device {name!r}; {yaml_io.nearest(name.lower(), known)}")
    return known[name.lower()]
