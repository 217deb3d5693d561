"""Files appear whole or not at all, and what killed processes leave behind is removed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from models.files import writing
from models.files.reading import FileError
from models.files.writing import aside, atomic_file


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "file"
    with atomic_file(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    with pytest.raises(TypeError), atomic_file(path) as file:
        file.writelines([b"half", None])
    assert path.read_bytes() == b"new"
    assert [found.name for found in path.parent.iterdir()] == ["file"]


def test_leftovers_of_dead_processes_go_and_those_of_others_stay(tmp_path):
    path = tmp_path / "file[1]"
    dead = subprocess.Popen(["true"])
    dead.wait()
    own = aside(path)
    left = own.with_name(own.name.replace(f".{os.getpid()}-", f".{dead.pid}-"))
    other = tmp_path / f".other.{dead.pid}-00.tmp"
    for leftover in (own, left, other):
        leftover.write_text("half")
    with atomic_file(path) as file:
        file.write(b"new")
    assert {found.name for found in tmp_path.iterdir()} == {path.name, own.name, other.name}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", "", "reports/a", "a\0b"])
def test_paths_stay_inside_their_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "reports").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileError, match=r"lies outside this folder|is a link"):
        writing.inside(folder, name)
    assert writing.inside(folder, "new/a.json") == folder / "new" / "a.json"


@pytest.mark.parametrize("name", ["9" * 5000, "a/" * 5000, "\ud800"])
def test_what_cannot_be_a_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="is no file name"):
        writing.inside(tmp_path, name)


def test_files_of_others_are_not_appended_to(tmp_path: Path) -> None:
    own, link, second, pipe = (tmp_path / name for name in ("own", "link", "second", "pipe"))
    writing.check_own(own)  # may be created
    own.write_text("x")
    writing.check_own(own)
    link.symlink_to(own)
    os.mkfifo(pipe)
    for path, told in ((link, "is a link"), (pipe, "no regular file")):
        with pytest.raises(FileError, match=told):
            writing.check_own(path)
    second.hardlink_to(own)
    with pytest.raises(FileError, match="another name"):
        writing.check_own(own)
