"""A real search, killed and interrupted: no process stays, no trial is lost, --resume goes on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.explore import finish as finishing
from tests.paths import ROOT
from tests.processes import all_gone, children, wait_for

SPACE = """\
network: {stages: [1, 2], convs: [1, 2], channels: [4, 8], kernels: [3], pooling: [max],
          residual: [false], head: [flatten], hidden: [0]}
bits: {input: [4], weights: [2, 4], activations: [2, 4]}
npu: {pixels: [1, 2], lanes: [4, 8], column_words: [1], weight_digit_bits: [1, 2],
      post_units: [1], scale_bits: [8], multiplier: [lut]}
"""
NETWORKS = 6


class SearchDoneError(Exception):
    """The test ends where the search does."""


def trials(out: Path) -> list[bytes]:
    """The journal's lines that finish a trial (op_code 6: a new state; 1: complete)."""
    journal = out / "trials.journal"
    lines = journal.read_bytes().splitlines() if journal.exists() else []
    finished = [
        line for line in lines if line.startswith(b'{"op_code":6,') and b'"state":1,' in line
    ]
    return [line for line in finished if line.endswith(b"}")]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_search_goes_on_after_a_kill_and_after_ctrl_c(tmp_path, monkeypatch, how):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (600, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "toy.npz", x=images, y=np.arange(600) % 3)
    (tmp_path / "space.yaml").write_text(SPACE)
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    command = ["explore", "--lut-budget", "20000", "--dataset", str(tmp_path / "toy.npz")]
    command += ["--space", str(tmp_path / "space.yaml"), "--networks", str(NETWORKS)]
    command += ["--out", str(out)]
    search = subprocess.Popen(
        [sys.executable, "-m", "codesign.cli", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(trials(out)) >= 2, seconds=600)
        started = children(search.pid)
        assert len(started) >= 2
        # Ctrl-C on a terminal reaches the whole process group, a kill the process alone.
        (os.killpg if how is signal.SIGINT else os.kill)(search.pid, how)
        _, said = search.communicate(timeout=60)
    finally:
        search.kill()
    assert all_gone(started)
    left = [path for path in temporary.iterdir() if not path.name.startswith("codesign-")]
    assert left == [], "only what the next run finds and removes"
    if how is signal.SIGINT:
        assert search.returncode == 130, said
        resume = shlex.join(["codesign", *command, "--resume"])
        last = f"codesign: interrupted; resume with: {resume}"
        lines = said.splitlines()  # a slow machine reports progress between these
        assert "codesign: search: started" in lines
        assert lines[-1] == last
    before = trials(out)
    assert 2 <= len(before) < NETWORKS
    monkeypatch.setattr(finishing, "finish", _stop)
    with pytest.raises(SearchDoneError):
        main([*command, "--resume"])
    after = trials(out)
    assert after[: len(before)] == before
    assert len(after) == NETWORKS


def _stop(*arguments: object) -> None:
    raise SearchDoneError
