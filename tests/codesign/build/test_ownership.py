"""Only what a build wrote, and nobody changed since, is replaced or removed by the next one."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.build import build_folder, manifest
from codesign.results import UserError
from models.files import folders
from rtl_gen import emit
from tests.codesign import small_build
from tests.codesign.build.test_build_folder import tree
from tests.paths import ROOT

THESIS = b"years of work"
EMIT = functools.cache(emit.verilog)


@pytest.fixture(autouse=True)
def _emit_once(monkeypatch):
    monkeypatch.setattr(emit, "verilog", EMIT)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("pristine") / "build")


@pytest.fixture
def out(pristine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pristine, tmp_path / "build")


def rebuilt(out: Path) -> list[str]:
    """Build into ``out`` again; return what was said."""
    said: list[str] = []
    build_folder.build(*small_build.parts(), out, warn=said.append)
    return said


def test_what_others_put_into_a_build_folder_stays(pristine, out):
    foreign = {
        "vivado/npu.runs/impl_1/npu.bit": b"\x00" * 1000,
        "notes.txt": b"do not lose",
        "rtl/board.v": b"module board; endmodule\n",
        "reports/mine.json": b"{}",
        ".git/HEAD": b"ref: refs/heads/main\n",
    }
    for path, data in foreign.items():
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes(data)
    (out / "empty").mkdir()
    (out / "link").symlink_to("/nowhere")
    (out / "vivado" / "home").symlink_to(out.parent)
    (out / "notes.txt").chmod(0o600)
    inode = (out / "vivado/npu.runs/impl_1/npu.bit").stat().st_ino
    out.chmod(0o700)
    for _ in range(2):
        assert rebuilt(out) == []
        assert tree(out) == {**tree(pristine), **foreign}
        assert (out / "empty").is_dir()
        assert (out / "link").readlink() == Path("/nowhere")
        assert (out / "vivado" / "home").is_symlink()
    # The same files, not copies: a tool that has them open goes on writing to them.
    assert (out / "vivado/npu.runs/impl_1/npu.bit").stat().st_ino == inode
    assert (out / "vivado/npu.runs/impl_1/npu.bit").stat().st_nlink == 1
    assert (out / "notes.txt").stat().st_mode & 0o777 == 0o600
    assert out.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in out.parent.iterdir()] == ["build"]


def test_changed_files_are_kept_under_another_name_and_told(pristine, out):
    (out / "design.yaml").write_bytes(b"# mine\n")
    (out / "rtl" / "npu.v").write_bytes(b"// mine\n")
    build_folder.add_report(out, "synthesis", {"luts": 1})
    (out / "reports" / "synthesis.json").write_bytes(b"[]")  # not of the new build
    (out / "mem" / "weights.hex").unlink()  # missing files are no loss
    said = rebuilt(out)
    mine = {
        "design.yaml.kept": b"# mine\n",
        "rtl/npu.v.kept": b"// mine\n",
        "reports/synthesis.json.kept": b"[]",
    }
    assert tree(out) == {**tree(pristine), **mine}
    assert sorted(said) == sorted(
        f"{out / path.removesuffix('.kept')} was not as a build wrote it and is kept as {path}"
        for path in mine
    )
    (out / "design.yaml").write_bytes(b"# mine again\n")
    assert len(rebuilt(out)) == 1
    assert tree(out) == {**tree(pristine), **mine, "design.yaml.kept-2": b"# mine again\n"}


def test_files_in_the_way_that_no_build_wrote_are_kept(pristine, out):
    listed = json.loads((out / "manifest.json").read_text())
    for path in ("rtl/npu.v", "mem/weights.hex"):
        del listed["sha256"][path]
    (out / "manifest.json").write_text(json.dumps(listed))
    (out / "mem" / "weights.hex").write_bytes(THESIS)
    assert rebuilt(out) == [
        f"{out / 'mem/weights.hex'} was not as a build wrote it and is kept as mem/weights.hex.kept"
    ]
    assert tree(out) == {**tree(pristine), "mem/weights.hex.kept": THESIS}


@pytest.mark.parametrize(
    "content",
    [
        '{"format": 1}',
        '{"format": 1, "sha256": {}}',
        '{"format": 1, "sha256": {"thesis.tex": "HASH"}}',
        '{"format": 1, "sha256": ["thesis.tex", "design.yaml", "program.json"]}',
        '{"format": 2, "sha256": {"design.yaml": "HASH", "program.json": "HASH"}}',
    ],
)
def test_a_manifest_that_is_none_of_ours_owns_nothing(tmp_path, content):
    out = tmp_path / "home"
    out.mkdir()
    (out / "thesis.tex").write_bytes(THESIS)
    digest = hashlib.sha256(THESIS).hexdigest()
    (out / "manifest.json").write_text(content.replace("HASH", digest))
    before = tree(out)
    with pytest.raises(UserError, match="holds something else than a build"):
        small_build.write(out)
    with pytest.raises(UserError, match="is not a build folder"):
        build_folder.add_report(out, "synthesis", {})
    assert tree(out) == before


def test_a_manifest_from_elsewhere_reaches_no_other_file(pristine, out, tmp_path):
    """It lists what it likes: only files inside, of the right content, count as a build's."""
    outside = tmp_path / "thesis.tex"
    outside.write_bytes(THESIS)
    (out / "thesis.tex").write_bytes(THESIS)
    (out / "linked").symlink_to(tmp_path)
    (out / "alias.tex").symlink_to(outside)
    listed = json.loads((out / "manifest.json").read_text())
    digest = hashlib.sha256(THESIS).hexdigest()
    for path in ("../thesis.tex", str(outside), "linked/thesis.tex", "alias.tex", "./thesis.tex"):
        listed["sha256"][path] = digest
    listed["sha256"]["thesis.tex"] = "0" * 64
    (out / "manifest.json").write_text(json.dumps(listed))
    rebuilt(out)
    assert outside.read_bytes() == THESIS
    assert (out / "thesis.tex.kept").read_bytes() == THESIS
    assert (out / "alias.tex.kept").is_symlink()
    assert (out / "linked").is_symlink()


def test_a_manifest_of_too_much_is_refused(out, monkeypatch):
    monkeypatch.setenv("CODESIGN_MAX_MEMORY", "1K")
    with pytest.raises(UserError, match="have more than 1 KiB; set CODESIGN_MAX_MEMORY"):
        small_build.write(out)
    monkeypatch.delenv("CODESIGN_MAX_MEMORY")
    listed = json.loads((out / "manifest.json").read_text())
    listed["sha256"] |= {str(n): "0" * 64 for n in range(manifest.MOST_FILES)}
    (out / "manifest.json").write_text(json.dumps(listed))
    with pytest.raises(UserError, match=r"lists 10,\d+ files; at most 10,000"):
        manifest.read(out)


def test_a_link_in_place_of_the_folder_is_refused(out, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(out)
    with pytest.raises(UserError, match="is a link; name the folder itself"):
        small_build.write(link)


def test_where_files_have_one_name_alone_they_are_copied(pristine, out, monkeypatch):
    def refused(*arguments, **options):
        raise PermissionError(1, "Operation not permitted")

    (out / "notes.txt").write_bytes(THESIS)
    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(
        folders.ctypes, "CDLL", lambda *a, **k: object()
    )  # nor can folders exchange
    assert rebuilt(out) == []
    assert tree(out) == {**tree(pristine), "notes.txt": THESIS}
    assert [path.name for path in out.parent.iterdir()] == ["build"]


STEPS = """\
import os, shutil, signal, sys
from pathlib import Path
from models.files import folders
left = int(sys.argv[2])
if sys.argv[3] == "plain":
    folders.ctypes.CDLL = lambda *arguments, **options: object()
def counted(owner, name):
    real = getattr(owner, name)
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **options)
    setattr(owner, name, call)
for owner, name in ((Path, "write_bytes"), (Path, "rename"), (os, "link"), (shutil, "rmtree"),
                    (shutil, "copystat"), (folders, "_exchange")):
    counted(owner, name)
new = {"a": b"new", "c/d": b"new"}
folders.write(new, Path(sys.argv[1]), folders.Earlier(frozenset({"a", "b"}), frozenset({"c/e"})))
"""
OLD = {"a": b"old", "b": b"old", "c/e": b"edited", "mine/notes": THESIS}
NEW = {"a": b"new", "c/d": b"new", "c/e.kept": b"edited", "mine/notes": THESIS}


@pytest.mark.parametrize("how, absent", [("exchange", 0), ("plain", 1)])
def test_a_kill_at_any_step_loses_nothing_and_the_next_call_completes(tmp_path, how, absent):
    step, states, left = 0, [], []
    while True:
        out = tmp_path / str(step) / "out"
        for path, data in OLD.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(data)
        command = [sys.executable, "-c", STEPS, str(out)]
        died = subprocess.run([*command, str(step), how], cwd=ROOT, check=False)
        states.append(tree(out) if out.exists() else None)
        if died.returncode == 0:
            break
        assert died.returncode == -signal.SIGKILL
        folders.recover(out)
        assert tree(out) in (OLD, NEW)
        if tree(out) == OLD:
            subprocess.run([*command, "-1", how], cwd=ROOT, check=True)
        assert tree(out) == NEW
        beside = [path for path in out.parent.iterdir() if path != out]
        # Nothing tells an old folder beside a new one from what somebody else made: it stays.
        assert [tree(path) for path in beside] in ([], [OLD][: how == "plain"])
        left.extend(beside)
        step += 1
    assert len(left) <= 1
    assert states[-1] == NEW
    assert states.count(None) == absent
    assert all(state in (OLD, NEW) for state in states if state is not None)
    assert step > 6
