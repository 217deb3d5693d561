"""The folder of a search: one process at a time, and a replacement that survives a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.explore.folder import SearchFolder
from codesign.explore.settings import FORMAT, ExploreSettings
from codesign.results import Budget, UserError
from tests.codesign.explore.test_kills import SPACE, trials
from tests.paths import ROOT
from tests.processes import all_gone, children, wait_for

OLD, NEW = {"format": FORMAT, "seed": 0}, {"format": FORMAT, "seed": 1}
FILES = (
    "summary.json",
    "front.json",
    "trials.journal",
    "trials.csv",
    "standings.jsonl",
    "training/toy-0123456789ab.weights",
    "training/short/0123456789ab.weights",
    "build/a/design.yaml",
    "build/a/program.json",
)
TRIAL = '{"op_code":4,"worker_id":"a","state":1}\n'
"""A line of a journal with a finished trial."""
STEPS = 10
"""Kills of a replacement: before each of its nine renames, and behind the last one."""


def settings(out: Path, *, resume: bool) -> ExploreSettings:
    return ExploreSettings(budget=Budget(luts=1000), out=out, resume=resume)


def old_search(out: Path) -> dict[str, str]:
    """Write a search; return its files by path."""
    files = {"explore.json": json.dumps(OLD), **{name: f"old {name}" for name in FILES}}
    files |= {"trials.journal": TRIAL, "summary.json": '{"status": 0}'}
    own = {path: files[f"build/a/{path}"] for path in ("design.yaml", "program.json")}
    files["build/a/manifest.json"] = json.dumps(
        {
            "format": 1,
            "sha256": {path: sha256(text.encode()).hexdigest() for path, text in own.items()},
        }
    )
    for name, text in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
    return files


def content(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()
    }


def replace_and_die(out: Path, step: int) -> None:
    """Replace the search in ``out``, in a process that is killed in its step ``step`` or after."""
    child = os.fork()
    if not child:
        left = [step]
        rename, replace = Path.rename, Path.replace

        def counted(how):
            def call(path: Path, target: Path) -> Path:
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return how(path, target)

            return call

        Path.rename, Path.replace = counted(rename), counted(replace)
        try:
            with SearchFolder(out, lambda text: None) as folder:
                folder.open(settings(out, resume=False), NEW)
                folder.claim()
                os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("step", range(STEPS))
def test_a_kill_during_the_replacement_leaves_the_old_search_or_the_new(tmp_path, step):
    out = tmp_path / "out"
    files = old_search(out)
    replace_and_die(out, step)
    whole = OLD if step < STEPS - 1 else NEW
    with SearchFolder(out, lambda text: None) as folder:
        assert folder.open(settings(out, resume=True), whole) == whole
        assert folder.claimed
    # The new search had no trial yet, so that the old one is there again in any case.
    left = {name: text for name, text in content(out).items() if not name.endswith(".tmp")}
    assert left == files
    assert not (out / ".replaced").exists()


def test_a_kill_while_the_replacement_is_undone_loses_nothing(tmp_path):
    out = tmp_path / "out"
    files = old_search(out)
    for step in (3, 0, 1, 2):  # the renames back, then those of the next replacement
        replace_and_die(out, step)
    with SearchFolder(out, lambda text: None) as folder:
        folder.open(settings(out, resume=True), OLD)
    assert content(out) == files


def begun(out: Path, identity: dict[str, object], said: list[str]) -> None:
    """Begin a search in the place of another, which is interrupted after its first trial."""
    with SearchFolder(out, said.append) as folder:
        folder.open(settings(out, resume=False), identity)
        folder.claim()
        (out / "trials.journal").write_text(TRIAL)


def test_a_finished_search_is_kept_until_another_one_succeeds(tmp_path):
    """Whatever is interrupted in its place, and however often."""
    out = tmp_path / "out"
    files = old_search(out)
    kept = {f".replaced/{name}": text for name, text in files.items()}
    said: list[str] = []
    for seed in (1, 2):
        begun(out, {"format": FORMAT, "seed": seed}, said)
        assert said[-1] == (
            f"the search before this one is kept in {out / '.replaced'} until this one succeeds"
        )
        new = {"explore.json": json.dumps({"format": FORMAT, "seed": seed}, indent=1) + "\n"}
        assert content(out) == {**kept, **new, "trials.journal": TRIAL}
    with SearchFolder(out, said.append) as folder:  # the new one goes on
        folder.open(settings(out, resume=True), {"format": FORMAT, "seed": 2})
        folder.finish()
    assert content(out) == {**new, "trials.journal": TRIAL}


def test_an_interrupted_search_without_a_trial_gives_way_to_the_one_before(tmp_path):
    out = tmp_path / "out"
    files = old_search(out)
    said: list[str] = []
    with SearchFolder(out, said.append) as folder:
        folder.open(settings(out, resume=False), NEW)
        folder.claim()
        (out / "trials.journal").write_text('{"op_code":0,"worker_id":"a"}\n{"op_code":4')
    assert content(out) == files
    assert said[-1] == f"{out} holds the search before this one again"


def test_a_second_search_in_the_same_folder_is_refused_and_a_kill_frees_it(tmp_path, capsys):
    random = np.random.default_rng(0)
    np.savez(
        tmp_path / "toy.npz",
        x=random.integers(0, 256, (600, 8, 8), dtype=np.uint8),
        y=np.arange(600) % 3,
    )
    (tmp_path / "space.yaml").write_text(SPACE)
    out = tmp_path / "out"
    command = ["explore", "--lut-budget", "20000", "--dataset", str(tmp_path / "toy.npz")]
    command += ["--space", str(tmp_path / "space.yaml"), "--networks", "50", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "codesign.cli", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as search:
        try:
            wait_for(lambda: len(trials(out)) >= 1, seconds=600)
            marker, before = (out / "explore.json").read_bytes(), trials(out)
            for more in ((), ("--resume",), ("--seed", "1")):
                assert main([*command, *more]) == 2
                error = f"codesign: error: a search is running in {out} (pid {search.pid})\n"
                assert capsys.readouterr().err == error
            assert search.poll() is None
            assert (out / "explore.json").read_bytes() == marker
            started = children(search.pid)
        finally:
            search.kill()
    assert all_gone(started)
    assert trials(out)[: len(before)] == before
    assert (out / ".lock").exists()
    mine = f"a search is running in .* .pid {os.getpid()}."
    with SearchFolder(out, lambda text: None), pytest.raises(UserError, match=mine):
        SearchFolder(out, lambda text: None)
    assert not (out / ".lock").exists()


def test_a_folder_that_does_not_exist_is_not_created_by_bad_input(tmp_path):
    with SearchFolder(tmp_path / "out", lambda text: None):
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["training", "training/short", "build"])
def test_folders_that_lead_out_of_the_search_are_refused(tmp_path: Path, name: str) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / name).parent.mkdir(parents=True)
    (out / "explore.json").write_text(json.dumps(OLD))
    (out / name).symlink_to(elsewhere)
    with pytest.raises(UserError, match="is a link"):
        SearchFolder(out, lambda text: None)


FOREIGN = {
    "notes.txt": "do not lose",
    "build/notes.txt": "do not lose",
    "build/a/vivado/npu.bit": "hours of work",
    "build/thesis/manifest.json": '{"format": 1}',
    "build/thesis/thesis.tex": "years of work",
    "training/best.weights": "a copy of mine",
    "training/short/notes.txt": "do not lose",
}
"""What a user has put into the folder of a search."""


def put(out: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)


def replaced(out: Path) -> None:
    """Put a new search with its own files in the place of the old one, which succeeds."""
    with SearchFolder(out, lambda text: None) as folder:
        folder.open(settings(out, resume=False), NEW)
        folder.claim()
        put(out, {"trials.journal": TRIAL, "build/b/design.yaml": "new", "summary.json": "{}"})
        folder.finish()


def test_a_search_that_replaces_another_removes_only_what_that_one_wrote(tmp_path: Path) -> None:
    out = tmp_path / "out"
    old_search(out)
    put(out, {**FOREIGN, "build/a/program.json": "edited"})
    replaced(out)
    new = {
        "explore.json": json.dumps(NEW, indent=1) + "\n",
        "trials.journal": TRIAL,
        "summary.json": "{}",
        "build/b/design.yaml": "new",
    }
    assert content(out) == {**new, **FOREIGN, "build/a/program.json.kept": "edited"}


def test_a_search_that_gives_way_leaves_what_others_put_beside_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    files = old_search(out)
    put(out, FOREIGN)
    mine = {"build/b/mine.txt": "new", "training/mine.txt": "new"}
    with SearchFolder(out, lambda text: None) as folder:
        folder.open(settings(out, resume=False), NEW)
        folder.claim()
        put(out, {**mine, "training/toy-cafe00000000.weights": "of the new search"})
    assert content(out) == {**files, **FOREIGN, **mine}


def test_a_removal_that_was_cut_short_is_completed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    step, left = 0, True
    while left:
        left = die_in_the_removal(out, step)
        with SearchFolder(out, lambda text: None) as folder:
            folder.open(settings(out, resume=True), NEW)
            folder.finish()
        kept = content(out)
        assert {name: kept.get(name) for name in FOREIGN} == FOREIGN
        assert not {name for name in kept if name.startswith((".replaced", "training/toy"))}
        assert "build/a/design.yaml" not in kept
        shutil.rmtree(out)
        step += 1
    assert step > 10


def die_in_the_removal(out: Path, step: int) -> bool:
    """Replace a search, in a process that is killed in step ``step`` of removing the old one."""
    old_search(out)
    put(out, FOREIGN)
    child = os.fork()
    if not child:
        try:
            with SearchFolder(out, lambda text: None) as folder:
                folder.open(settings(out, resume=False), NEW)
                folder.claim()
                put(out, {"trials.journal": TRIAL})
                left = [step]
                for name in ("unlink", "rename", "rmdir"):
                    setattr(Path, name, _counted(getattr(Path, name), left))
                folder.finish()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def _counted(how, left: list[int]):
    def call(path: Path, *arguments, **options):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return how(path, *arguments, **options)

    return call


def test_a_search_file_from_elsewhere_replaces_no_search(tmp_path: Path, capsys) -> None:
    """Not even one in the default folder: only --out beside it says that it may."""
    out = tmp_path / "out"
    np.savez(
        tmp_path / "toy.npz", x=np.eye(8, dtype=np.uint8)[None].repeat(60, 0), y=np.arange(60) % 3
    )
    old_search(out)
    before = content(out)
    config = tmp_path / "search.yaml"
    text = f"lut_budget: 20000\ndataset: {tmp_path / 'toy.npz'}\nout: {out}\nnetworks: 2\n"
    config.write_text(text)
    assert main(["explore", "--config", str(config)]) == 2
    assert capsys.readouterr().err.endswith(
        f"codesign: error: {out} holds a search: --resume goes on with it, and only --out on the "
        "command line, beside --config, lets another one replace it\n"
    )
    config.write_text(text + "resume: true\n")
    assert main(["explore", "--config", str(config)]) == 2
    assert "holds a search with other" in capsys.readouterr().err
    assert content(out) == before
