"""Running a tool in a process group of its own, with a time limit."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_GUARDED = """\
exec 3<&0 </dev/null
{ read -r _ <&3; kill -KILL 0; } &
"$@" 3<&-
status=$?
kill -KILL $!
wait $! 2>/dev/null
exit $status
"""
"""A shell script that runs its arguments. Its guard reads from a pipe that this process holds open
and never writes to: the read ends when this process is gone, and the whole group is killed then."""

_NO_SPACE = os.strerror(errno.ENOSPC)
_running: set[subprocess.Popen[bytes]] = set()


@dataclass(frozen=True)
class ProcessResult:
    """How a process ended."""

    log: str
    """What it wrote to stdout and stderr."""
    failure: str | None
    """Such as ``ended with status 1`` or ``took more than 5 s``; None for status 0."""

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.splitlines()[-lines:])


def execute(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> ProcessResult:
    """Run ``command`` in ``folder`` until it ends or ``timeout_s`` seconds have gone.

    Its whole process group is killed when the time is up, or this process is interrupted or killed.
    Raises OSError when the command failed for want of space on the disk.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["sh", "-c", _GUARDED, "sh", *command],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _running.add(process)
        failure = None
        try:
            code = process.wait(timeout_s)
            failure = None if code == 0 else f"ended with status {code}"
        except subprocess.TimeoutExpired:
            failure = f"took more than {timeout_s:g} s"
        finally:
            _kill(process)
            process.communicate()  # closes the pipe
            _running.discard(process)
        output.seek(0)
        done = ProcessResult(output.read().decode(errors="replace"), failure)
        if failure and (_NO_SPACE in done.log or not shutil.disk_usage(folder).free):
            raise OSError(errno.ENOSPC, _NO_SPACE, str(folder))
        return done


def kill_all() -> None:
    """Kill what ``execute`` started from any thread and still runs, so that those threads end: an
    interrupt reaches the main thread alone."""
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ended this moment
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
