"""A parallel map over worker processes that end with this process, even if it is killed.

concurrent.futures is not used because its workers wait forever when this process is killed (each
holds the write end of the queue that it reads), receive Ctrl-C from the terminal themselves, and
can hang this process when one of them dies (Python before 3.12).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_TOLD, _RESULT, _ERROR = "told", "result", "error"
"""Kinds of what a worker sends."""
_SAFE_PATH = "PYTHONSAFEPATH"
"""Variable that keeps Python from putting the current folder among those of modules."""


def spread(
    function: Callable[..., Result],
    tasks: Sequence[Task],
    jobs: int,
    heard: Callable[[Any], None] | None = None,
) -> Generator[Result]:
    """Apply ``function`` to each task in ``jobs`` processes; yield results in order of completion.

    heard: called in this process with what ``function`` tells while it works; ``function`` then
    gets a second argument, a callable for one value that can be pickled.

    jobs: >= 1 (not checked: 0 yields nothing); no more processes than tasks are started, and none
    before the first result is asked for. Closing the iterator kills the processes in the middle of
    their work. ``function`` is pickled and sent once to each process, so it may carry data; tasks
    and results are pickled, too.

    Raises the Exception that ``function`` raised, and BrokenExecutor when a process died, as from
    an exception of another kind or one that cannot be pickled; both end all processes, and with
    them the tasks that are not done.
    """
    workers: dict[Connection, BaseProcess] = {}
    left = deque(tasks)
    try:
        for _ in range(min(jobs, len(tasks))):
            connection, worker = _start()
            workers[connection] = worker
        with _deaths_told():
            for connection in workers:
                connection.send((function, heard is not None))
                connection.send(left.popleft())
        busy = list(workers)
        while busy:
            for ready in wait(busy):
                assert isinstance(ready, Connection)
                with _deaths_told():
                    kind, result = ready.recv()
                    if kind == _TOLD:
                        pass
                    elif left and kind == _RESULT:
                        ready.send(left.popleft())
                    else:
                        busy.remove(ready)
                # Out of _deaths_told, which would change some kinds of these errors.
                if kind == _ERROR:
                    raise result
                if kind == _TOLD:
                    assert heard is not None
                    heard(result)
                else:
                    yield result
    finally:
        for worker in workers.values():
            worker.kill()
            worker.join()


def _start() -> tuple[Connection, BaseProcess]:
    """Start a worker process; return this end of the connection to it, and the process."""
    # Spawned, because a fork of a process that has used torch may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs,), daemon=True)
    with _safe_path():
        resource_tracker.ensure_running()  # starting it later would unblock SIGINT again
    # The child inherits the blocked signal, so Ctrl-C on the terminal does not reach it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _safe_path():
            worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, worker


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let Python processes that are started meanwhile import nothing from the current folder.

    Each begins with ``python -c``, which would: also modules of the standard library.
    """
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def _serve(connection: Connection) -> None:
    """Run the worker: receive the function, then tasks one by one; answer (kind, value).

    Kinds: what the function tells, any number of times, then its result or its exception. It never
    returns: the parent kills the process.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function, tells = connection.recv()
    more = (lambda value: connection.send((_TOLD, value)),) if tells else ()
    while True:
        task = connection.recv()
        try:
            connection.send((_RESULT, function(task, *more)))
        except Exception as error:  # noqa: BLE001 - the parent raises it
            error.add_note(traceback.format_exc())
            connection.send((_ERROR, error))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _deaths_told() -> Iterator[None]:
    """Raise BrokenExecutor when a connection breaks: the process at its other end has died."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise BrokenExecutor("a worker process died") from error
