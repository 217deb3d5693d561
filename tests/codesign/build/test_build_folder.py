"""The build folder is complete, the same for the same input, and never half-written."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from codesign.build import build_folder, manifest
from codesign.results import UserError
from models.files.writing import npz_bytes
from models.integer import files, reference
from rtl_gen import emit
from sim.folder import read
from tests.codesign import named_build, small_build
from tests.paths import ROOT

emit_verilog = emit.verilog
emitted = functools.cache(emit_verilog)


@pytest.fixture(autouse=True)
def _emit_once(monkeypatch):
    """Generate the Verilog once for all tests here, as it takes seconds."""
    monkeypatch.setattr(emit, "verilog", emitted)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("build") / "small")


def tree(folder: Path) -> dict[str, bytes]:
    """Return the contents of every file, by its path in the folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_folder_is_complete_and_its_manifest_has_every_hash(folder):
    files = tree(folder)
    for path in (
        "design.yaml", "network.npz",
        "program.json", "program.hex", "program_traced.hex", "rtl/npu.v",
        "mem/weights.hex", "mem/channels.hex", "vectors/inputs.npz", "vectors/expected.npz",
        "sim/run.py", "sim/bench.py", "constraints/npu.xdc", "constraints/npu.lpf",
        "scripts/synth.ys", "scripts/vivado.tcl", "small.core", "driver/npu.py",
        "driver/npu_regs.h",
    ):  # fmt: skip
        assert path in files
    listed = json.loads(files.pop("manifest.json"))
    assert listed["sha256"] == {
        path: hashlib.sha256(data).hexdigest() for path, data in files.items()
    }
    design, _, _ = small_build.parts()
    assert listed["config_hash"] == design.npu.hash
    assert listed["seed"] == design.seed
    assert listed["versions"]["amaranth"] != "not installed"


def test_the_folder_reads_back_as_what_was_compiled(folder):
    _, compiled, vectors = small_build.parts()
    found = read(folder)
    assert found.programs["traced"].words == compiled.traced.words
    assert found.programs["normal"].cycles == compiled.program.cycles
    assert np.array_equal(found.weights, compiled.weights)
    assert np.array_equal(found.channels, compiled.channels)
    assert np.array_equal(found.inputs, vectors.inputs)
    assert found.expected.keys() == vectors.expected.keys()
    assert read(folder).programs["normal"].words == compiled.program.words


def test_the_same_input_gives_the_same_bytes_and_an_own_folder_is_replaced(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(emit, "verilog", emit_verilog)
    again = small_build.write(tmp_path / "elsewhere")
    assert tree(again) == tree(folder)
    monkeypatch.setattr(emit, "verilog", emitted)
    build_folder.add_report(again, "old", {})
    small_build.write(again)
    assert tree(again) == tree(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]


def test_folders_of_something_else_are_refused(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    build_folder.check_free(home)
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"home holds something else than a build"):
        small_build.write(home)
    (home / "manifest.json").write_text('{"name": "another tool"}')
    with pytest.raises(UserError, match=r"home holds something else than a build"):
        small_build.write(home)
    with pytest.raises(UserError, match=r"is a file; choose another folder"):
        small_build.write(home / "thesis.tex")
    assert (home / "thesis.tex").read_text() == "years of work"


def fail_at(monkeypatch, count: int, failure) -> None:
    """Make the ``count``-th file that is written fail."""
    written = 0
    real = Path.write_bytes

    def write_bytes(path: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == count:
            failure(path)
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def full_disk(path: Path) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_full_disk_leaves_the_old_folder_and_nothing_else(tmp_path, monkeypatch):
    out = tmp_path / "out"
    small_build.write(out)
    before = tree(out)
    fail_at(monkeypatch, 17, full_disk)
    with pytest.raises(UserError, match=r"cannot write the build folder .*No space left"):
        small_build.write(out)
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_leaves_the_old_report(tmp_path, monkeypatch):
    out = small_build.write(tmp_path / "out")
    build_folder.add_report(out, "synthesis", {"luts": 1})
    before = tree(out)
    monkeypatch.setattr(os, "fsync", lambda handle: full_disk(out))
    with pytest.raises(UserError, match=r"cannot write .*synthesis.json: No space left"):
        build_folder.add_report(out, "synthesis", {"luts": 2})
    assert tree(out) == before


KILLED = """\
import os, signal, sys
from pathlib import Path
from tests.codesign import named_build, small_build
real, written = Path.write_bytes, 0
def write_bytes(path, data):
    global written
    written += 1
    if written == 17:
        os.kill(os.getpid(), int(sys.argv[2]))
    return real(path, data)
Path.write_bytes = write_bytes
small_build.write(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("how, left", [(signal.SIGKILL, 1), (signal.SIGINT, 0)])
def test_a_kill_and_ctrl_c_in_the_middle_leave_no_build(tmp_path, how, left):
    out = tmp_path / "out"
    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(int(how))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert died.returncode == -how
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == left
    small_build.write(out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_reports_enter_the_manifest_and_changed_files_are_noticed(tmp_path):
    out = small_build.write(tmp_path / "out")
    build_folder.add_report(out, "synthesis", {"luts": 2000})
    assert json.loads((out / "reports" / "synthesis.json").read_text()) == {"luts": 2000}
    assert manifest.changed_files(out) == []
    (out / "rtl" / "npu.v").write_text("module npu; endmodule\n")
    (out / "mem" / "weights.hex").unlink()
    assert manifest.changed_files(out) == ["mem/weights.hex", "rtl/npu.v"]
    with pytest.raises(UserError, match=r"is not a build folder"):
        build_folder.add_report(tmp_path, "synthesis", {})


def test_the_integer_network_is_in_the_folder(folder):
    """Read back, it computes the vectors; the same network gives the same bytes at any time."""
    _, compiled, vectors = small_build.parts()
    stored = files.load(folder / build_folder.NETWORK)
    found = reference.run(stored, vectors.inputs)
    assert set(found) == set(vectors.expected)
    for name, values in vectors.expected.items():
        assert np.array_equal(found[name], values)
    again = npz_bytes(files.contents(compiled.integer))
    assert (folder / build_folder.NETWORK).read_bytes() == again
    with zipfile.ZipFile(folder / build_folder.NETWORK) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_host_data_is_in_program_json(folder, tmp_path):
    program = json.loads((folder / "program.json").read_text())
    assert program["classes"] == ["0", "1", "2", "3", "4"]
    assert program["input_range"] == {"low": [0.0], "high": [255.0]}
    named = json.loads((named_build.write(tmp_path) / "program.json").read_text())
    assert named["classes"] == list(named_build.NAMES)
    assert named["input_range"] == {"low": [-1.0], "high": [1.0]}


def test_reports_are_not_written_through_a_link(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if (folder / "reports").exists():
        shutil.rmtree(folder / "reports")
    (folder / "reports").symlink_to(elsewhere)
    with pytest.raises(UserError, match=r"reports: is a link"):
        build_folder.add_report(folder, "synthesis", {})
    assert not list(elsewhere.iterdir())
    for path in ("../synthesis.json", "/tmp/synthesis.json"):
        with pytest.raises(UserError, match="lies outside this folder"):
            manifest.add(folder, path, b"")
