"""Progress, tables and number formats of the command line."""

from __future__ import annotations

import io
import json

import pytest

from codesign.cli import console as module
from codesign.cli.console import Console, duration, table
from codesign.report import comparison
from codesign.results import Figures
from tests.processes import wait_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_progress_shows_time_left_on_a_terminal(clock):
    terminal = Terminal()
    console = Console(stderr=terminal)
    console.progress("training", 0, 10)
    clock[0] = 30.0
    console.progress("training", 5, 10)
    console.progress("training", 5, 10, "validation 97 %")
    assert "training: " in terminal.getvalue()
    assert "50 %, 30 s, 30 s left, validation 97 %" in terminal.getvalue()
    console.clear()
    assert terminal.getvalue().endswith("\r\x1b[2K")


def test_a_resumed_stage_counts_its_own_steps_only(clock):
    terminal = Terminal()
    console = Console(stderr=terminal)
    console.progress("training", 8, 10)
    clock[0] = 10.0
    console.progress("training", 9, 10)
    assert "10 s, 10 s left" in terminal.getvalue()


def test_a_stage_without_steps_counts_down_what_is_usual(clock):
    terminal = Terminal()
    console = Console(stderr=terminal)
    with console.stage("synthesis", expected_s=60):
        clock[0] = 20.0
        console.progress("synthesis", 0, 1)
        assert "synthesis: 20 s, 40 s left" in terminal.getvalue()
        clock[0] = 70.0
        console.progress("synthesis", 0, 1)
        assert "synthesis: 1 min 10 s, longer than usual" in terminal.getvalue()


def test_progress_is_quiet_for_short_work(clock):
    terminal = Terminal()
    console = Console(stderr=terminal)
    console.progress("a", 0, 10)
    clock[0] = 0.9
    console.progress("a", 10, 10)
    assert terminal.getvalue() == ""


def test_off_a_terminal_a_stage_is_one_line_and_then_one_a_minute(clock, capsys, monkeypatch):
    monkeypatch.setattr(module, "REDRAW_S", 1e9)  # the clock stands still for the ticker, too
    file = io.StringIO()
    console = Console(stderr=file)
    for second in range(200):
        clock[0] = float(second)
        console.progress("training", second / 20, 10, "validation 97 %")
    with console.stage("synthesis", expected_s=300):
        clock[0] = 270.0
        console.progress("synthesis", 0, 1)
        clock[0] = 280.0
        console.progress("synthesis", 0, 1)
        clock[0] = 400.0
        console.progress("synthesis", 1, 1)  # done: nothing is left to say
    lines = file.getvalue().splitlines()
    assert lines == [
        "codesign: training: started",
        "codesign: training: 30 %, 1 min 0 s, 2 min 20 s left, validation 97 %",
        "codesign: training: 60 %, 2 min 0 s, 1 min 20 s left, validation 97 %",
        "codesign: training: 90 %, 3 min 0 s, 20 s left, validation 97 %",
        "codesign: synthesis: started",
        "codesign: synthesis: 1 min 11 s, 3 min 49 s left",
    ]
    assert not any(ord(c) < 32 or ord(c) > 126 for line in lines for c in line)
    assert capsys.readouterr().out == ""


def test_off_a_terminal_a_warning_does_not_begin_the_stage_anew(clock):
    file = io.StringIO()
    console = Console(stderr=file, as_json=True)
    console.progress("search", 0, 10)
    console.warn("careful")
    console.progress("search", 1, 10)
    assert file.getvalue() == "codesign: search: started\ncodesign: careful\n"


def test_a_stage_without_steps_is_logged_while_it_runs(monkeypatch):
    monkeypatch.setattr(module, "REDRAW_S", 0.01)
    monkeypatch.setattr(module, "LOG_S", 0.05)
    file = io.StringIO()
    with Console(stderr=file).stage("synthesis", expected_s=60):
        wait_for(lambda: file.getvalue().count("\n") >= 3)
    assert file.getvalue().splitlines()[1:3] == ["codesign: synthesis: 0 s, 1 min 0 s left"] * 2


def test_json_keeps_stdout_to_one_value(capsys):
    console = Console(as_json=True)
    console.say("for people")
    console.result({"luts": 3})
    console.warn("careful")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"luts": 3}
    assert err == "codesign: careful\n"


@pytest.mark.parametrize(
    "seconds, text", [(0.4, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (4000, "1 h 6 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_table_aligns_names_left_and_numbers_right():
    lines = table(("name", "luts"), [("conv1", "7"), ("c", "12,345")]).splitlines()
    assert lines == ["name     luts", "-----  ------", "conv1       7", "c      12,345"]


def test_comparison_puts_the_error_against_synthesis_first():
    rows = comparison.rows(
        Figures(luts=110, cycles_per_image=50),
        Figures(luts=None, cycles_per_image=50),
        Figures(luts=100, fmax_mhz=140.5),
        {"luts": (90.0, 130.0)},
    )
    assert rows == [
        ["LUTs", "110 (90–130)", "—", "100", "+10.0 %"],
        ["cycles per image", "50", "50", "—", "exact"],
        ["Fmax on an ECP5-6, MHz", "—", "—", "140.5", "—"],
    ]
