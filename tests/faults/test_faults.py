"""A few faults; ``make faults`` has more, of every command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.faults import runner
from tests.faults.__main__ import draw
from tests.faults.injection import CACHE, FAULTS
from tests.faults.jobs import JOBS


@pytest.fixture(scope="module")
def warm(tmp_path_factory) -> tuple[Path, float]:
    """A cache that commands start with, and the seconds of one of them."""
    base = tmp_path_factory.mktemp("faults") / "warm"
    return base / CACHE, runner.clean("build", base, None)


@pytest.mark.parametrize("fault, share", [("kill", 0.5), ("read-only", 0.9)])
def test_nothing_is_lost_or_left_behind(warm, tmp_path, fault, share):
    if fault == "read-only" and os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("setpriv is missing, without which root may write anywhere")
    cache, seconds = warm
    found = runner.one("build", fault, share * seconds, tmp_path / fault, cache)
    assert found.wrong == ()


def test_what_is_wrong_is_seen(warm, tmp_path, monkeypatch):
    """A fault that damages the folder and leaves a temporary file behind."""

    def damage(pid: int, area: Path) -> None:
        os.kill(pid, 9)
        (area / "work" / "out" / "notes.txt").write_text("theirs")
        (area / "work" / "out" / "design.yaml").write_text("half")
        (area / "tmp" / "left").touch()

    monkeypatch.setitem(FAULTS, "kill", damage)
    found = runner.one("build", "kill", 0.5, tmp_path / "area", warm[0])
    told = "\n".join(found.wrong)
    for part in ("lost by the fault: b'mine'", "design.yaml: changed", "left behind: tmp/left"):
        assert part in told


def test_every_command_meets_every_fault():
    pairs = [pair[:2] for pair in draw(30, 0, list(JOBS), list(FAULTS))]
    assert len(set(pairs)) == 30
    assert draw(5, 3, list(JOBS), list(FAULTS)) == draw(9, 3, list(JOBS), list(FAULTS))[:5]
