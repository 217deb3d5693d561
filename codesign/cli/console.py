"""What the commands print: results on stdout, progress with time left on stderr."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

REDRAW_S = 0.25
PATIENCE_S = 1.0
"""A stage that ends within this shows no progress at all."""


class Console:
    """One per command. Progress appears only where stderr is a terminal."""

    def __init__(self, *, as_json: bool = False, stderr: TextIO | None = None) -> None:
        self.as_json = as_json
        self._stderr = stderr or sys.stderr
        self._live = self._stderr.isatty()
        self._lock = threading.Lock()
        self._stage = ""
        self._started = self._drawn = 0.0

    def say(self, text: str = "") -> None:
        """A line for people; nothing with --json."""
        if not self.as_json:
            self.clear()
            print(text, flush=True)

    def result(self, value: Any) -> None:
        """The command's result for machines: with --json, the only thing on stdout."""
        if self.as_json:
            print(json.dumps(value, indent=2), flush=True)

    def warn(self, text: str) -> None:
        """A line on stderr, whatever the mode."""
        self.clear()
        print(f"codesign: {text}", file=self._stderr, flush=True)

    def progress(self, stage: str, done: float, total: float, note: str = "") -> None:
        """``done`` of ``total`` steps of a stage; time left follows from the pace so far."""
        if not self._live:
            return
        now = time.monotonic()
        with self._lock:
            if stage != self._stage:
                self._stage, self._started, self._drawn = stage, now, now
            elapsed = now - self._started
            if elapsed < PATIENCE_S or now - self._drawn < REDRAW_S:
                return
            self._drawn = now
            share = min(max(done / total, 0.0), 1.0) if total > 0 else 0.0
            left = f", {duration(elapsed / share - elapsed)} left" if share > 0.02 else ""
            bar = f"{'█' * round(20 * share):░<20}"
            note = f", {note}" if note else ""
            self._draw(
                f"{stage:<14.40} {bar} {100 * share:3.0f} %, {duration(elapsed)}{left}{note}"
            )

    @contextmanager
    def stage(self, name: str, expected_s: float) -> Iterator[None]:
        """Progress by the clock for work that reports none (a synthesis, a compiler run).

        expected_s: how long it usually takes; past that, only the time spent is shown.
        """
        done = threading.Event()
        started = time.monotonic()

        def tick() -> None:
            while not done.wait(REDRAW_S):
                elapsed = time.monotonic() - started
                if elapsed < PATIENCE_S:
                    continue
                left = expected_s - elapsed
                hint = f", about {duration(left)} left" if left > 0 else ", longer than usual"
                with self._lock:
                    self._draw(f"{name}: {duration(elapsed)}{hint}")

        ticker = threading.Thread(target=tick, daemon=True)
        if self._live:
            ticker.start()
        try:
            yield
        finally:
            done.set()
            if self._live:
                ticker.join()
            self.clear()

    def _draw(self, line: str) -> None:
        self._stderr.write(f"\r\x1b[2K{line}")
        self._stderr.flush()

    def clear(self) -> None:
        """Takes the progress line away."""
        if self._live:
            with self._lock:
                self._stderr.write("\r\x1b[2K")
                self._stderr.flush()


def duration(seconds: float) -> str:
    """7 -> 7 s, 125 -> 2 min 5 s, 4000 -> 1 h 6 min."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns of text; the first ``left`` columns are aligned left, the others right."""
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
