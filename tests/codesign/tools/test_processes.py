"""Results of tools are whole, or an error: a tool's exit status alone is not believed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesign.tools import processes
from codesign.tools.processes import ToolError


def run(script: str) -> processes.ToolRun:
    return processes.run(["sh", "-c", script], "tool 1.0", {"in": "[1]"}, "out.json", 30)


def test_what_a_tool_writes_is_returned() -> None:
    assert run("cp in out.json; echo done") == processes.ToolRun("done\n", "[1]")


@pytest.mark.parametrize("script", ["true", ": > out.json", "echo '{\"a\": [1,' > out.json"])
def test_a_missing_or_torn_result_is_an_error_whatever_the_status(script: str) -> None:
    with pytest.raises(ToolError, match=r"tool 1\.0 wrote no out\.json, or not all of it"):
        run(script)


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary files lie on a file system of 64 KiB, which only root can mount."""
    options = ["-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(["mount", *options], check=False).returncode:
        pytest.skip("mounting a file system needs root")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


@pytest.mark.usefixtures("small_disk")
def test_a_tool_that_does_not_see_that_the_disk_is_full_is_no_failed_tool() -> None:
    """As Yosys, which ends with status 0 and an empty file."""
    with pytest.raises(OSError, match="No space left"):
        run("exec 2>&-; cat /dev/zero > fill; echo '[1]' > out.json; true")
