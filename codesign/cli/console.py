"""Output of the commands: results on stdout, progress with remaining time on stderr."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from models.files.reading import escaped

REDRAW_S = 0.25
"""Seconds between redraws of the progress line."""
LOG_S = 60.0
"""Seconds between progress lines where stderr is no terminal."""
PATIENCE_S = 1.0
"""Seconds after which a stage shows progress on a terminal; shorter stages show none."""
_ERASE = "\r\x1b[2K"


@dataclass
class _Stage:
    """A running stage of the command, with its progress."""

    name: str
    started: float
    first: float
    """Steps done when the stage began; not 0 in a resumed run."""
    done: float
    total: float
    note: str
    expected_s: float | None
    told: float
    """Time (time.monotonic) of the last line about it where stderr is no terminal."""

    def left_s(self, elapsed: float) -> float | None:
        """Estimate the remaining seconds by the pace so far, else by the expected time, else None.

        elapsed: seconds since the stage began. By the expected time the result is negative if the
        stage takes longer.
        """
        if self.done > self.first:
            return elapsed * max(self.total - self.done, 0.0) / (self.done - self.first)
        return None if self.expected_s is None else self.expected_s - elapsed

    @property
    def share(self) -> float | None:
        """Fraction done, 0..1, or None for a stage without steps (``total`` at most 1)."""
        return min(max(self.done / self.total, 0.0), 1.0) if self.total > 1 else None

    def line(self, now: float, *, plain: bool = False) -> str:
        """Return the progress as a line of text, without the bar if ``plain``.

        now: time.monotonic(), as ``started`` is.
        """
        elapsed = now - self.started
        left = self.left_s(elapsed)
        parts = [duration(elapsed)]
        if left is not None:
            parts.append(f"{duration(left)} left" if left >= 0 else "longer than usual")
        if self.note:
            parts.append(self.note)
        share, bar = self.share, ""
        if share is not None and not plain:
            bar = f" {'█' * round(20 * share):░<20} {100 * share:3.0f} %,"
        elif share is not None:
            bar = f" {100 * share:.0f} %,"
        return f"{self.name}:{bar} {', '.join(parts)}"


class Console:
    """Output of one command: results on stdout, progress and warnings on stderr.

    Progress is one line that is redrawn if stderr is a terminal. Otherwise it is a line of plain
    text when a stage begins, and one a minute while it lasts.

    Control characters in texts, which may come from files, are escaped, so that a terminal obeys
    nothing but this class.

    as_json: print one JSON value on stdout and no other text there. stderr: None for sys.stderr.

    >>> console = Console(as_json=True)
    >>> console.say("for people")
    >>> console.result({"luts": 2013})
    {
      "luts": 2013
    }
    """

    def __init__(self, *, as_json: bool = False, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stderr = stderr or sys.stderr
        self._live = self._stderr.isatty()
        self._lock = threading.Lock()
        self._stage: _Stage | None = None
        self._ticker: threading.Thread | None = None
        self._answered = False

    def say(self, text: str = "") -> None:
        """Print a line of text on stdout, except with --json."""
        if not self.as_json:
            self._make_room()
            print(escaped(text, keep="\n"), flush=True)

    def row(self, text: str) -> None:
        """Print a row of a live table on stderr if that is a terminal, above the progress line."""
        with self._lock:
            if self._live:
                width = shutil.get_terminal_size().columns - 1
                self._stderr.write(f"{_ERASE}{escaped(text)[:width]}\n")
                self._draw(time.monotonic())

    def result(self, value: Any) -> None:
        """Print the command's result as JSON on stdout, with --json only.

        The first one is the answer: a later one, such as an error in writing it, is left out.
        """
        if self.as_json and not self._answered:
            self._answered = True
            print(json.dumps(value, indent=2), flush=True)

    def warn(self, text: str) -> None:
        """Print a line that starts with ``codesign:`` on stderr, with and without --json."""
        self._make_room()
        self._log(text)

    def progress(
        self,
        stage: str,
        done: float,
        total: float,
        note: str = "",
        expected_s: float | None = None,
    ) -> None:
        """Show that ``done`` of ``total`` steps of a stage are done, until ``clear``.

        On a terminal a line of text (``say``, ``warn``) ends the stage, too.

        stage: its name; another one begins a new stage. note: text at the end of the line.
        expected_s: usual duration in seconds, for stages without steps to extrapolate from.
        """
        with self._lock:
            now = time.monotonic()
            if self._stage is None or self._stage.name != stage:
                self._stage = _Stage(stage, now, done, done, total, note, expected_s, now)
                if not self._live:
                    self._log(f"{stage}: started")
            self._stage.done, self._stage.total, self._stage.note = done, total, note
            self._draw(now)
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    @contextmanager
    def stage(self, name: str, expected_s: float) -> Iterator[None]:
        """Show progress by elapsed time during the ``with`` block, for work without steps.

        expected_s: usual duration in seconds.
        """
        self.progress(name, 0, 1, expected_s=expected_s)
        try:
            yield
        finally:
            self.clear()

    def clear(self) -> None:
        """End the stage, if there is one, and erase its progress line."""
        with self._lock:
            stage, self._stage = self._stage, None
            if stage is not None and self._live:
                self._stderr.write(_ERASE)
                self._stderr.flush()

    def _tick(self) -> None:
        while True:
            time.sleep(REDRAW_S)
            with self._lock:
                self._draw(time.monotonic())

    def _make_room(self) -> None:
        """End the stage and erase its progress line if stderr is a terminal, for a line of text."""
        if self._live:
            self.clear()

    def _log(self, text: str) -> None:
        print(f"codesign: {escaped(text, keep=chr(10))}", file=self._stderr, flush=True)

    def _draw(self, now: float) -> None:
        stage = self._stage
        if stage is None:
            return
        if not self._live:
            if stage.done < stage.total and now - stage.told >= LOG_S:
                stage.told = now
                self._log(stage.line(now, plain=True))
        elif now - stage.started >= PATIENCE_S:
            width = shutil.get_terminal_size().columns - 1
            self._stderr.write(_ERASE + escaped(stage.line(now))[:width])
            self._stderr.flush()


def duration(seconds: float) -> str:
    """Format seconds for people: 7 -> 7 s, 125 -> 2 min 5 s, 4000 -> 1 h 6 min.

    Seconds are rounded to the nearest, smaller units left out; negative ones are 0 s.
    """
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Format rows of text as a table; the first ``left`` columns are aligned left, others right.

    A rule of dashes follows the head; columns are two spaces apart. Each row is as long as
    ``head``.
    """
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]

    def draw(line: list[str]) -> str:
        cells = (
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([draw(lines[0]), rule, *(draw(line) for line in lines[1:])])
