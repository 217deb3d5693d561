"""Two builds into one folder: the second is refused, the first goes on."""

from __future__ import annotations

import subprocess
import sys

from codesign.build import build_folder
from codesign.cli import main
from tests.paths import EXAMPLE, ROOT
from tests.processes import wait_for


def test_a_second_build_into_the_same_folder_is_refused_and_a_kill_frees_it(tmp_path, capsys):
    out = tmp_path / "build"
    command = ["build", str(EXAMPLE), "--epochs", "1000", "--out", str(out)]
    lock = tmp_path / ".build.lock"
    with subprocess.Popen(
        [sys.executable, "-m", "codesign.cli", *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        try:
            wait_for(lambda: lock.exists() and bool(lock.read_text()))
            assert main(command) == 2
            error = f"codesign: error: a build is running in {out} (pid {first.pid})\n"
            assert capsys.readouterr().err.endswith(error)
            assert first.poll() is None
        finally:
            first.kill()
    assert lock.exists()
    with build_folder.locked(out):
        pass
    assert not lock.exists()
