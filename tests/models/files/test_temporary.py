"""Temporary folders of killed processes are removed by the next one; those in use never are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from models.files import temporary
from tests.paths import ROOT

MAKES_ONE_AND_DIES = """\
import os, signal, sys
from pathlib import Path
from models.files import temporary
with temporary.folder("test", Path(sys.argv[1])) as made:
    (made / "large").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_one(place: Path) -> Path:
    """Leave the folder of a killed process in ``place``; return its path."""
    before = set(place.iterdir())
    died = subprocess.run(
        [sys.executable, "-c", MAKES_ONE_AND_DIES, str(place)], cwd=ROOT, check=False
    )
    assert died.returncode == -signal.SIGKILL
    (left,) = set(place.iterdir()) - before
    assert (left / "large").exists()
    return left


def test_the_next_one_removes_what_a_kill_leaves(tmp_path: Path) -> None:
    left = leave_one(tmp_path)
    with temporary.folder("test", tmp_path) as made:
        assert not left.exists()
        assert list(tmp_path.iterdir()) == [made]
        assert made.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_one_in_use_and_what_others_made_stay(tmp_path: Path) -> None:
    names = ("codesign-notes", "codesign-test-0123456789abcdef.tmp.old", "thesis")
    for name in names:
        (tmp_path / name).mkdir()
    left = leave_one(tmp_path)
    elsewhere = tmp_path / "thesis" / "chapter"
    elsewhere.write_text("years of work")
    link = left.with_name("codesign-test-0123456789abcdef.tmp")
    link.symlink_to(tmp_path / "thesis")
    with temporary.folder("test", tmp_path) as made:
        temporary.sweep(tmp_path)
        assert made.exists()
    assert not left.exists()
    assert link.is_symlink()
    assert elsewhere.read_text() == "years of work"
    assert all((tmp_path / name).is_dir() for name in names)


def test_a_folder_of_another_user_stays(tmp_path: Path, monkeypatch) -> None:
    left = leave_one(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)
    temporary.sweep(tmp_path)
    assert left.exists()


def test_many_at_a_time_do_not_take_each_other_s(tmp_path: Path) -> None:
    failures = []

    def work() -> None:
        for _ in range(50):
            with temporary.folder("test", tmp_path) as made:
                (made / "data").write_text("x")
                if not (made / "data").exists():
                    failures.append(made)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []


def test_a_missing_place_is_swept_in_silence(tmp_path: Path) -> None:
    temporary.sweep(tmp_path / "missing")
