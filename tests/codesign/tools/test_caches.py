"""Kept results are those that were found, compiled code is verified, and all can be emptied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codesign.build import pipeline
from codesign.cli.main import main
from codesign.tools import caches, processes
from sim import cache
from sim.cache import CacheError

KEY = processes.content_hash(["anything"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder that does not exist yet."""
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CODESIGN_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


# Results -------------------------------------------------------------------------------------


def test_a_result_is_kept_and_an_altered_one_is_not_believed(folder: Path) -> None:
    assert processes.cached("synth", KEY) is None
    processes.keep("synth", KEY, {"luts": 1879})
    assert processes.cached("synth", KEY) == {"luts": 1879}
    path = folder / "synth" / KEY
    path.write_bytes(path.read_bytes().replace(b"1879", b"1751"))
    assert processes.cached("synth", KEY) is None


def test_a_folder_of_others_is_told_a_full_disk_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.temporary, "folder", full)
    processes.keep("synth", KEY, 1)
    (folder / "synth").chmod(0o777)
    for call in (lambda: processes.keep("synth", KEY, 1), lambda: processes.cached("synth", KEY)):
        with pytest.raises(CacheError):
            call()


def test_without_a_usable_folder_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "file"))
    processes.keep("synth", KEY, 1)
    assert processes.cached("synth", KEY) is None
    with caches.folder(caches.DATASETS) as found:
        assert found is None


def test_data_sets_are_swept_when_they_were_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODESIGN_CACHE_SIZE", "8K")  # 3 KiB of it for data sets
    for name in "ab":
        with caches.folder(caches.DATASETS) as found:
            assert found is not None
            (found / f"{name * 64}.npz").write_bytes(bytes(2000))
    assert [path.name for path in (folder / "datasets").iterdir()] == [f"{'b' * 64}.npz"]


# Compiled code -------------------------------------------------------------------------------


def test_only_sealed_code_is_left_for_its_library(folder: Path, tmp_path: Path) -> None:
    code = caches.tree("compiled", KEY)
    (code / "sub").mkdir()
    names = ["whole.nbi", "sub/whole.nbc", "torn.nbc", "altered.nbi", "link.nbc", "shared.nbi"]
    for name in names:
        (code / name).write_text(name)
    caches.seal("compiled", KEY)
    caches.verify("compiled", KEY)
    assert all((code / name).exists() for name in names)
    (code / "torn.nbc").write_text("torn")
    (code / "altered.nbi").write_text("altered.nbI")
    (code / "added.nbi").write_text("added")
    (code / "shared.nbi").chmod(0o666)
    (code / "link.nbc").rename(tmp_path / "moved")
    (code / "link.nbc").symlink_to(tmp_path / "moved")
    caches.verify("compiled", KEY)
    left = sorted(str(path.relative_to(code)) for path in code.rglob("*.nb?"))
    assert left == ["sub/whole.nbc", "whole.nbi"]
    assert (tmp_path / "moved").read_text() == "link.nbc"


def test_code_in_use_is_not_swept(folder: Path) -> None:
    (caches.tree("compiled", KEY) / "a.nbi").write_bytes(bytes(100))
    assert caches.clean() == 0
    assert (folder / "compiled" / KEY / "a.nbi").exists()


def test_torch_keeps_no_code_where_others_can_plant_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own default is a name in the temporary directory that anyone can take first."""
    monkeypatch.delenv(caches.TORCH_VARIABLE, raising=False)
    caches.keep_torch_code()
    place = Path(os.environ[caches.TORCH_VARIABLE])
    assert place.parent == folder / "torch"
    assert place.stat().st_mode & 0o077 == 0
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    assert cache_dir() == str(place)
    caches.keep_torch_code()  # what is set stays
    assert os.environ[caches.TORCH_VARIABLE] == str(place)

    monkeypatch.delenv(caches.TORCH_VARIABLE)
    (tmp_path / "file").touch()
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "file"))
    caches.keep_torch_code()
    private = Path(os.environ[caches.TORCH_VARIABLE])
    assert private.stat().st_mode & 0o077 == 0
    assert not list(private.iterdir())


def test_training_sets_the_folder_before_torch_compiles(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import models.training.loop
    from codesign import design
    from tests.paths import ROOT

    monkeypatch.delenv(caches.TORCH_VARIABLE, raising=False)
    seen = []
    monkeypatch.setattr(
        models.training.loop,
        "train",
        lambda *a, **k: seen.append(os.environ[caches.TORCH_VARIABLE]),
    )
    tiny = design.load(ROOT / "examples" / "digits_tiny.yaml")
    pipeline.train_design(tiny, None, None)  # type: ignore[arg-type]
    assert Path(seen[0]).parent == folder / "torch"


# doctor --------------------------------------------------------------------------------------


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict:
    assert main(["doctor", "--json", *arguments]) == status
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_doctor_shows_folder_sizes_and_limits_and_empties_them(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processes.keep("synth", KEY, "x" * 1000)
    size = (folder / "synth" / KEY).stat().st_size
    mine = folder / "synth" / "notes.txt"
    mine.write_text("mine")
    left = folder / f"codesign-compile-{'0' * 16}.tmp"
    left.mkdir(parents=True)
    (left / "half").write_bytes(bytes(500))
    found = shown(capsys)["cache"]
    assert found["folder"] == str(folder)
    assert {kind["kind"] for kind in found["kinds"]} == set(cache.SHARES)
    by_kind = {kind["kind"]: kind for kind in found["kinds"]}
    assert by_kind["synth"] == {
        "kind": "synth", "entries": 1, "size": size, "limit": 256 << 20,
    }  # fmt: skip
    assert sum(kind["limit"] for kind in found["kinds"]) == 8 << 30

    assert shown(capsys, "--clean") == {"folder": str(folder), "freed_bytes": size + 500}
    assert mine.read_text() == "mine"
    assert not left.exists()
    assert shown(capsys, "--clean")["freed_bytes"] == 0
    assert main(["doctor", "--clean"]) == 0
    assert capsys.readouterr().out == f"0 bytes freed in {folder}\n"


def test_a_folder_of_others_ends_commands_in_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    message = f"cache folder {folder} can be written by others"
    assert shown(capsys, status=2)["cache"]["error"].startswith(message)
    assert shown(capsys, "--clean", status=2)["error"].startswith(message)
    # In a process of its own, as one that has estimated before keeps the compiled code.
    command = [sys.executable, "-m", "codesign.cli", "estimate", "examples/digits_tiny.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"codesign: error: {message}")
    assert done.stderr.count("\n") == 1


def test_functions_first_called_by_several_threads_are_kept_in_the_cache(folder: Path) -> None:
    """numba's cache folder is a setting of the process: one thread must not reset another's."""
    script = """
import time
from concurrent.futures import ThreadPoolExecutor
from codesign.cost.cycles import compiled

njit = compiled.numba.njit
def slow(function, **options):
    time.sleep(0.02)  # other threads get their turn while the folder is set
    return njit(function, **options)

compiled.numba.njit = slow
made = [compiled.compiled(lambda x, add=add: x + add) for add in range(10)]
with ThreadPoolExecutor(5) as pool:
    assert list(pool.map(lambda call: call(1), made)) == list(range(1, 11))
"""
    place = folder.parent / "work"
    place.mkdir()
    (place / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "script.py"], cwd=place, env=environment, check=True)
    assert [path.name for path in place.iterdir()] == ["script.py"]
