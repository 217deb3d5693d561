"""Execution of external tools, each in a process group of its own and with a time limit."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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
"""Shell script that runs its arguments. A guard in the background reads from a pipe that the Python
process holds open and never writes to. The read ends when that process is gone; the guard then
kills the whole group."""

_NO_SPACE = os.strerror(errno.ENOSPC)
_running: set[subprocess.Popen[bytes]] = set()
"""Processes that ``execute`` is waiting for, in any thread."""


@dataclass(frozen=True)
class ProcessResult:
    """Outcome of a finished process. Made by ``execute``."""

    log: str
    """Everything it wrote to stdout and stderr, in order; bytes that are not UTF-8 are replaced."""
    failure: str | None
    """None for exit status 0, else such as ``ended with status 1`` or ``took more than 5 s``."""

    def tail(self, lines: int = 15) -> str:
        """Return the last ``lines`` lines of the log, without a newline at the end."""
        return "\n".join(self.log.splitlines()[-lines:])


def execute(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> ProcessResult:
    """Run ``command`` in ``folder`` until it ends or ``timeout_s`` seconds have passed.

    environment: its environment variables, but for TMPDIR, which is ``folder``. Its whole process
    group is killed when the time is up, and when this process is interrupted or killed. A command
    that fails or takes too long raises nothing: see the result's ``failure``; a missing command
    ends with status 127. Raises OSError if ``folder`` is missing, or the command failed because the
    disk is full.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            ["sh", "-c", _GUARDED, "sh", *command],
            cwd=folder,
            # A tool that fails or is killed leaves its temporary files; here they go with the
            # folder, which is "." as Yosys puts the path into scripts, where a blank splits it.
            env={**environment, "TMPDIR": "."},
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
            process.communicate()  # closes the guard's pipe
            _running.discard(process)
        output.seek(0)
        done = ProcessResult(output.read().decode(errors="replace"), failure)
        if failure:
            check_space(folder, done.log)
        return done


def check_space(folder: Path, log: str = "") -> None:
    """Raise OSError if the disk of ``folder`` is full, or was for the tool that wrote ``log``."""
    if _NO_SPACE in log or not shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, _NO_SPACE, str(folder))


@contextlib.contextmanager
def within(seconds: float, doing: str, kind: type[Exception]) -> Iterator[Callable[[], float]]:
    """Limit the time of the steps in a ``with`` block, all together.

    The block gets a function that returns the seconds left, for the time limit of its next step.
    An error of ``kind`` that a step raises once they are over, as the function itself does, says
    that ``doing`` took too long.

    >>> with within(60.0, "the example", ValueError) as left:
    ...     left() > 59
    True
    """
    end = time.monotonic() + seconds
    late = kind(f"{doing} took more than the {seconds:g} s allowed, and was stopped")

    def left() -> float:
        rest = end - time.monotonic()
        if rest <= 0:
            raise late
        return rest

    try:
        yield left
    except kind:
        if time.monotonic() >= end:
            raise late from None
        raise


def kill_all() -> None:
    """Kill all processes that ``execute`` started and that still run, whatever thread waits.

    Each ``execute`` then ends as after a failed command; an interrupt alone would reach only the
    main thread.
    """
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
