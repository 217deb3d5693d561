"""Files appear whole or not at all, and what killed processes leave behind is removed."""

from __future__ import annotations

import os
import subprocess

import pytest

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
