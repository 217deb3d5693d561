"""Work spread over processes returns every result and error, and no worker outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor

import pytest

from codesign.tools.workers import Pool, spread
from tests.paths import ROOT
from tests.processes import all_gone, wait_for


def work(task: int) -> int:
    if task == 13:
        raise ValueError("thirteen")
    if task == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    return task * task


def test_every_task_is_done_once():
    assert sorted(spread(work, range(7), 2)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(spread(work, [], 2)) == []


def telling(task: int, tell: Callable[[int], None]) -> int:
    for step in range(task):
        tell(10 * task + step)
    return task


def test_what_workers_tell_is_heard_before_their_results():
    heard: list[int] = []
    results = [(task, sorted(heard)) for task in spread(telling, [1, 2, 3], 2, heard.append)]
    assert sorted(heard) == [10, 20, 21, 30, 31, 32]
    for task, before in results:
        assert {10 * task + step for step in range(task)} <= set(before)


def test_an_error_of_the_function_is_raised_in_the_parent_and_says_where():
    with pytest.raises(ValueError, match="thirteen") as caught:
        list(spread(work, [13], 2))
    assert "in work" in caught.value.__notes__[0]


def cut_off(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", [EOFError("short file"), ConnectionResetError("board")])
def test_an_error_like_that_of_a_broken_connection_is_still_the_functions_own(error):
    with pytest.raises(type(error), match=str(error)):
        list(spread(cut_off, [error], 2))


def test_a_worker_that_dies_is_an_error():
    with pytest.raises(BrokenExecutor):
        list(spread(work, [1, 99, 2], 2))


HANGS = """\
import os, sys, time
from pathlib import Path
from codesign.tools.workers import Pool, spread
def hang(task):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(600)
if __name__ == "__main__":
    list(spread(hang, [1, 2, 3], 2))
"""


@pytest.fixture
def hanging(tmp_path):
    """Start a process with two hanging workers in a process group of its own; yield it and their
    ids."""
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    pids = tmp_path / "pids"
    pids.mkdir()
    parent = subprocess.Popen(
        [sys.executable, script, pids],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(list(pids.iterdir())) == 2)
    yield parent, [int(path.name) for path in pids.iterdir()]
    parent.kill()


def test_workers_end_with_a_killed_parent(hanging):
    parent, workers = hanging
    parent.kill()
    assert all_gone(workers)


def test_ctrl_c_on_a_terminal_is_heard_by_the_parent_alone(hanging):
    """Ctrl-C goes to the whole process group; the workers must not print their tracebacks."""
    parent, workers = hanging
    start = time.monotonic()
    os.killpg(parent.pid, signal.SIGINT)
    _, said = parent.communicate(timeout=60)
    assert said.count("Traceback") == 1
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert all_gone(workers)
    assert time.monotonic() - start < 30


def known(name: str) -> bool:
    return name in sys.modules


def test_a_worker_imports_what_it_is_told_before_its_first_task():
    """The module, of the standard library, is one that no worker needs for itself."""
    for imports in ((), ("turtledemo",)):
        with Pool(1, imports) as pool:
            pool.start(known, "turtledemo")
            ((_, found),) = pool.finished()
        assert found is bool(imports)


def process_id(task: int) -> int:
    if task < 0:
        time.sleep(60)
    return os.getpid()


def test_a_pool_keeps_its_processes_from_batch_to_batch():
    with Pool(2) as pool:
        first = set(pool.spread(process_id, range(6)))
        second = set(pool.spread(process_id, range(6)))
        assert second <= first
        with contextlib.closing(pool.spread(process_id, [0, -1])) as results:
            assert next(results) in first
        assert pool.busy == 0, "what was not done is dropped"
        assert list(pool.spread(work, [3])) == [9]
        assert os.getpid() not in first
