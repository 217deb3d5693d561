"""Work on processes that end with this process, even if it is killed.

concurrent.futures is not used because its workers wait forever when this process is killed (each
holds the write end of the queue that it reads), receive Ctrl-C from the terminal themselves, and
can hang this process when one of them dies (Python before 3.12).
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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


_IDLE: Any = object()
"""In place of the task of a worker that has none."""


@dataclass
class _Worker:
    """A worker process, this end of the connection to it, and what it does."""

    connection: Connection
    process: BaseProcess
    function: Callable[..., Any] | None = None
    task: Any = _IDLE
    heard: Callable[[Any], None] | None = None


class Pool:
    """Worker processes that are kept from task to task; leaving the ``with`` block kills them.

    processes: most at one time, each started when it is first needed; 0: tasks are done in this
    process, when they are started. imports: modules that a process imports before its first task.

    >>> with Pool(0) as pool:
    ...     pool.start(abs, -3)
    ...     pool.finished()
    [(-3, 3)]
    """

    def __init__(self, processes: int, imports: Sequence[str] = ()) -> None:
        self._most, self._imports = processes, imports
        self._workers: dict[Connection, _Worker] = {}
        self._done: list[tuple[Any, Any]] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        self._end(list(self._workers.values()))

    @property
    def busy(self) -> int:
        """Number of tasks that were started and whose results ``finished`` has not returned."""
        return len(self._done) + len(self._workers) - len(self._idle)

    @property
    def free(self) -> bool:
        """True if a task that is started now is begun at once."""
        return self.busy < max(self._most, 1)

    @property
    def _idle(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.task is _IDLE]

    def prepare(self, count: int) -> None:
        """Start so many processes, which come up side by side, before there is a task for them."""
        for _ in range(count):
            worker = _start(self._imports)
            self._workers[worker.connection] = worker

    def drop(self) -> None:
        """Drop all tasks that are not finished: processes that work on them are killed."""
        self._done.clear()
        self._end([worker for worker in self._workers.values() if worker.task is not _IDLE])

    def _end(self, workers: Sequence[_Worker]) -> None:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
            del self._workers[worker.connection]

    def spread(
        self,
        function: Callable[..., Result],
        tasks: Sequence[Task],
        heard: Callable[[Any], None] | None = None,
    ) -> Generator[Result]:
        """Apply ``function`` to each task; yield results in order of completion.

        No process is started before the first result is asked for. Closing the iterator, or an
        error, drops the tasks that are not done (``drop``). heard, errors and what is pickled: as
        for ``start``.
        """
        left = deque(tasks)
        try:
            while left or self.busy:
                while left and self.free:
                    self.start(function, left.popleft(), heard)
                for _, result in self.finished():
                    yield result
        finally:
            self.drop()

    def start(
        self,
        function: Callable[..., Any],
        task: Any,
        heard: Callable[[Any], None] | None = None,
    ) -> None:
        """Apply ``function`` to a task; the pool must be ``free``.

        heard: called in this process, by ``finished``, with what ``function`` tells while it works;
        ``function`` then gets a second argument, a callable for one value that can be pickled.

        ``function`` is pickled and sent to a process that has done another one before, so it may
        carry data; tasks and results are pickled, too. Raises BrokenExecutor if a process has died.
        """
        if not self._most:
            self._done.append((task, function(task, heard) if heard else function(task)))
            return
        if not self._idle:
            self.prepare(1)
        worker = self._idle[0]
        with _deaths_told():
            if worker.function is not function:
                worker.connection.send((function, heard is not None))
            else:
                worker.connection.send(None)
            worker.connection.send(task)
        worker.function, worker.task, worker.heard = function, task, heard

    def finished(self, timeout_s: float | None = None) -> list[tuple[Any, Any]]:
        """Wait until a task is done, or something is told; return (task, result) of those done.

        timeout_s: longest wait in seconds, None without limit. Without a task in work it returns at
        once. Raises the Exception that the function raised, and BrokenExecutor when a process died,
        as from an exception of another kind or one that cannot be pickled.
        """
        found, self._done = self._done, []
        busy = [at for at, worker in self._workers.items() if worker.task is not _IDLE]
        for ready in wait(busy, 0 if found else timeout_s) if busy else ():
            assert isinstance(ready, Connection)
            worker = self._workers[ready]
            with _deaths_told():
                kind, result = ready.recv()
            # Out of _deaths_told, which would change some kinds of these errors.
            if kind == _ERROR:
                raise result
            if kind == _TOLD:
                assert worker.heard is not None
                worker.heard(result)
            else:
                found.append((worker.task, result))
                worker.task = _IDLE
        return found


def spread(
    function: Callable[..., Result],
    tasks: Sequence[Task],
    jobs: int,
    heard: Callable[[Any], None] | None = None,
) -> Generator[Result]:
    """Apply ``function`` to each task in ``jobs`` processes; yield results in order of completion.

    jobs: >= 1 (not checked: 0 yields nothing); no more processes than tasks are started, and none
    before the first result is asked for. Closing the iterator kills the processes in the middle of
    their work. heard, errors and what is pickled: as for Pool; an error ends all processes, and
    with them the tasks that are not done.
    """
    with Pool(jobs) as pool:
        pool.prepare(min(jobs, len(tasks)))
        yield from pool.spread(function, tasks if jobs else (), heard)


def _start(imports: Sequence[str]) -> _Worker:
    """Start a worker process, which imports these modules first."""
    # Spawned, because a fork of a process that has used torch may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs, imports), daemon=True)
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
    return _Worker(ours, worker)


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


def _serve(connection: Connection, imports: Sequence[str]) -> None:
    """Run the worker: receive a function, None for the last one, and a task; answer (kind, value).

    Kinds: what the function tells, any number of times, then its result or its exception. It never
    returns: the parent kills the process.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in imports:
        importlib.import_module(name)
    work: Any = None
    while True:
        work = connection.recv() or work
        function, tells = work
        more = (lambda value: connection.send((_TOLD, value)),) if tells else ()
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
