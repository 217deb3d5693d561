"""Caches are this user's alone, give back what was put in or nothing, and stay within limits."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim import cache, simulator
from sim.cache import CacheError
from sim.tools import verilator
from tests.paths import ROOT
from tests.sim.test_simulator import COUNTER, run

KIND = "synth"
KEYS = [f"{number:064x}" for number in range(20)]
CONTENT = b"what was found"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODESIGN_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


def entry(folder: Path, key: str = KEYS[0]) -> Path:
    return folder / KIND / key


# Whose the folder is -------------------------------------------------------------------------


def test_folders_are_made_for_this_user_alone(folder: Path) -> None:
    before = os.umask(0)
    try:
        cache.write(KIND, KEYS[0], CONTENT)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / KIND, entry(folder))]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
@pytest.mark.parametrize("which", [".", KIND])
def test_a_folder_that_others_can_write_is_refused(folder: Path, mode: int, which: str) -> None:
    (folder / KIND).mkdir(parents=True)
    (folder / which).chmod(mode)
    with pytest.raises(CacheError, match=r"written by others.*set CODESIGN_CACHE to a folder of"):
        cache.read(KIND, KEYS[0])
    with pytest.raises(CacheError):
        cache.write(KIND, KEYS[0], CONTENT)
    assert list((folder / KIND).iterdir()) == []


@pytest.mark.parametrize(("group", "refused"), [(False, True), (True, False)])
def test_a_group_may_write_only_if_it_is_the_users_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, group: bool, refused: bool
) -> None:
    """Where users have groups of their own, whose numbers are theirs, their umask is 002."""
    folder.mkdir(mode=0o770)
    folder.chmod(0o770)
    status = folder.stat()
    same = status.st_uid if group else status.st_uid + 1
    changed = os.stat_result([*status[:5], same, *status[6:]])
    assert bool(cache.private.others_write(changed)) == refused


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as that of a user whose HOME root has kept, under sudo."""
    folder.mkdir(mode=0o700)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(CacheError, match=r"belongs to user .*, not to you"):
        cache.cache_folder(KIND)
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_could_replace_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("CODESIGN_CACHE", str(shared / "mine"))
    with pytest.raises(CacheError, match=r"lies in .*shared, which others can write"):
        cache.cache_folder(KIND)
    assert list(shared.iterdir()) == []
    shared.chmod(0o1777)  # as /tmp
    assert cache.cache_folder(KIND).is_dir()


def test_links_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    folder.mkdir(mode=0o700)
    (folder / KIND).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="is a link"):
        cache.cache_folder(KIND)


# What is read --------------------------------------------------------------------------------


def test_what_was_written_is_read(folder: Path) -> None:
    assert cache.read(KIND, KEYS[0]) is None
    cache.write(KIND, KEYS[0], CONTENT)
    cache.write(KIND, KEYS[1], b"")
    assert (cache.read(KIND, KEYS[0]), cache.read(KIND, KEYS[1])) == (CONTENT, b"")
    assert cache.keys(KIND, KEYS[0][:10]) == sorted(KEYS[:2])
    assert cache.held(KIND, KEYS[0]) == entry(folder)


def test_an_entry_that_was_torn_altered_or_renamed_is_none(folder: Path) -> None:
    cache.write(KIND, KEYS[0], CONTENT)
    path = entry(folder)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert cache.read(KIND, KEYS[0]) is None
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.read(KIND, KEYS[0]) is None
        assert cache.held(KIND, KEYS[0]) is None
    entry(folder, KEYS[1]).write_bytes(whole)
    assert cache.read(KIND, KEYS[1]) is None
    other = cache.cache_folder("place") / KEYS[0]
    other.write_bytes(whole)
    assert cache.read("place", KEYS[0]) is None
    cache.write(KIND, KEYS[0], CONTENT)
    assert cache.read(KIND, KEYS[0]) == CONTENT


def test_an_entry_that_others_can_write_or_that_is_no_file_is_none(
    folder: Path, tmp_path: Path
) -> None:
    cache.write(KIND, KEYS[0], CONTENT)
    path = entry(folder)
    path.chmod(0o666)
    assert cache.read(KIND, KEYS[0]) is None
    path.chmod(0o600)
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert cache.read(KIND, KEYS[0]) is None
    assert cache.held(KIND, KEYS[0]) is None
    path.unlink()
    os.mkfifo(path)
    assert cache.read(KIND, KEYS[0]) is None
    cache.write(KIND, KEYS[0], CONTENT)  # replaces it
    assert cache.read(KIND, KEYS[0]) == CONTENT


def planted(folder: Path, flag: Path) -> bytes:
    (program,) = [path for path in (folder / "simulators").iterdir() if os.access(path, os.X_OK)]
    program.write_text(f"#!/bin/sh\ntouch {flag}\n")
    return program.read_bytes()


def test_a_planted_simulator_is_compiled_again_not_run(folder: Path, tmp_path: Path) -> None:
    run(tmp_path, "counts")
    before = planted(folder, tmp_path / "executed")
    (tmp_path / "result").unlink()
    run(tmp_path, "counts")
    assert (tmp_path / "result").read_text() == "15"
    assert not (tmp_path / "executed").exists()
    assert before not in [path.read_bytes() for path in (folder / "simulators").iterdir()]


def test_verilog_that_includes_files_is_compiled_every_time(tmp_path: Path) -> None:
    step = tmp_path / "step.vh"
    include = {"top.v": COUNTER.replace("+ 3", f'+ \n`include "{step}"\n')}
    programs = []
    for value in (3, 5):
        step.write_text(f"{value}")
        programs.append(simulator.build(include, "top", ["clk", "count"]).read_bytes())
    assert programs[0] != programs[1]


def test_flags_of_the_compiler_are_part_of_a_simulators_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {str(simulator._versions(verilator.find()))}
    for flags in ("-O1", "-O3"):
        monkeypatch.setenv("CXXFLAGS", flags)
        found.add(str(simulator._versions(verilator.find())))
    assert len(found) == 3


# Sizes ---------------------------------------------------------------------------------------


def limit(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Let entries of KIND take ``size`` bytes."""
    total = size * sum(cache.SHARES.values()) // cache.SHARES[KIND]
    monkeypatch.setenv("CODESIGN_CACHE_SIZE", str(total))
    assert cache.limit(KIND) == size


def fill(count: int) -> None:
    """Write entries of 100 bytes and more, each last used a second after the one before."""
    start = time.time() - 1000
    for number, key in enumerate(KEYS[:count]):
        cache.write(KIND, key, bytes(100 - 32))
        os.utime(cache.cache_folder(KIND) / key, (start + number, start + number))


def test_the_least_recently_used_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 100_000)
    fill(10)
    assert cache.read(KIND, KEYS[0])  # used now
    limit(monkeypatch, 640)
    for key in KEYS[10:15]:
        cache.write(KIND, key, bytes(100 - 32))
        size = sum(path.stat().st_size for path in (folder / KIND).iterdir())
        assert size <= 640
    left = {path.name for path in (folder / KIND).iterdir()}
    assert left == {KEYS[0], *KEYS[10:15]}


def test_what_a_process_holds_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(5)
    code = "import sys; from sim import cache; "
    code += f"print(cache.held({KIND!r}, {KEYS[0]!r}), flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == str(entry(folder))
    assert cache.held(KIND, KEYS[1]) == entry(folder, KEYS[1])  # by this process
    assert cache.sweep(folder / KIND, -1) == 300
    assert {path.name for path in (folder / KIND).iterdir()} == set(KEYS[:2])
    holder.communicate("")
    assert cache.sweep(folder / KIND, -1) == 100


def test_what_killed_processes_left_is_removed(folder: Path) -> None:
    place = cache.cache_folder(KIND)
    code = "from sim import cache\nfrom sim.files import temporary\n"
    code += f"with temporary.folder('cache', cache.cache_folder({KIND!r})) as work:\n"
    code += "    (work / 'half').write_bytes(bytes(1000)); print(work, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    left = Path(child.stdout.readline().strip())
    cache.sweep(place, 10_000)
    assert (left / "half").exists()  # at work
    child.kill()
    child.wait()
    old, new = (place / f".{key}.npz.1-0a1b2c3d.tmp" for key in KEYS[:2])
    for path in (old, new):
        path.write_bytes(bytes(10))
    os.utime(old, (1, 1))
    assert cache.sweep(place, 10_000) == 1010
    assert list(place.iterdir()) == [new]


def test_what_is_no_entry_is_never_touched(folder: Path, tmp_path: Path) -> None:
    """CODESIGN_CACHE may name a folder that has one called ``datasets``, with data."""
    place = cache.cache_folder("datasets")
    names = ["thesis.npz", "photos", "notes.txt", "0" * 10, ".profile", ".git"]
    mine = [where / name for where in (place, folder) for name in names]
    for path in mine:
        path.write_bytes(b"mine")
        os.utime(path, (1, 1))
    (place / KEYS[0]).symlink_to(tmp_path)
    assert cache.sweep(place, -1) == cache.sweep(folder, -1) == 0
    assert all(path.read_bytes() == b"mine" for path in mine)
    assert (place / KEYS[0]).is_symlink()


@pytest.mark.parametrize("size", ["0", "-1", "much", "1T"])
def test_a_bad_limit_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("CODESIGN_CACHE_SIZE", size)
    with pytest.raises(CacheError, match="CODESIGN_CACHE_SIZE: must be a number of bytes"):
        cache.read(KIND, KEYS[0])
