"""Blanks and quotes in every path: caches, temporary files, checkout, environment, build folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.cli import main
from codesign.tools import processes
from codesign.tools.processes import ToolError
from sim import simulator
from tests.codesign import small_build
from tests.paths import EXAMPLE, ROOT


def test_verify_and_synth_work_where_every_path_has_blanks_and_quotes(tmp_path):
    home = tmp_path / "my work, l'été #1"
    for name in ('cache "dir";', 'tmp "dir";'):
        (home / name).mkdir(parents=True)
    (home / "check out").symlink_to(ROOT)
    (home / "virtual env").symlink_to(sys.prefix)
    build = small_build.write(home / 'a "build";')
    environment = {
        **os.environ,
        "CODESIGN_CACHE": str(home / 'cache "dir";'),
        "TMPDIR": str(home / 'tmp "dir";'),
        "PYTHONPATH": str(home / "check out"),
    }
    for verb in (("verify", "--images", "1"), ("synth",)):
        done = subprocess.run(
            [home / "virtual env/bin/python", "-m", "codesign.cli", *verb, build, "--json"],
            cwd=home / "check out",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)
    assert list((home / 'tmp "dir";').iterdir()) == []
    kept = {path.name for path in (home / 'cache "dir";' / "simulators").iterdir()}
    assert not any(name.startswith((".", "codesign-")) for name in kept)


def test_without_any_place_for_make_it_says_so(monkeypatch, tmp_path):
    blank = tmp_path / "a b"
    blank.mkdir()
    assert simulator._place_for_make(tmp_path) == tmp_path
    assert " " not in str(simulator._place_for_make(blank))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(simulator.SimulationError, match="a path without blanks"):
        simulator._place_for_make(blank)
    with pytest.raises(ToolError, match="tool 1 needs a writable folder"):
        processes.run(["true"], "tool 1", {}, "none", 1.0)


def test_the_next_commands_can_be_pasted(tmp_path, capsys):
    out = tmp_path / "my build"
    assert main(["build", str(EXAMPLE), "--epochs", "2", "--out", str(out)]) == 0
    assert f"next: codesign verify '{out}'; codesign synth '{out}'" in capsys.readouterr().out
    assert [path for path in Path(tmp_path).iterdir() if path != out] == []
