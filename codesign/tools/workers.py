"""Work spread over spawned processes that end with this one, however it ends.

The pool of concurrent.futures will not do: when this process is killed its workers wait for ever
(each holds the write end of the queue that it reads), Ctrl-C on a terminal reaches them too, and
the death of one may hang this process (Python before 3.12).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Iterator[Result]:
    """``function`` of each task by ``jobs`` processes; results as they come, in any order.

    Closing the iterator ends the processes at once, in the middle of their work. ``function`` is
    pickled and sent once to each process, so it may carry data.

    Raises what ``function`` raises, and BrokenExecutor when a process died.
    """
    workers: dict[Connection, BaseProcess] = {}
    left = deque(tasks)
    try:
        for _ in range(min(jobs, len(tasks))):
            connection, worker = _start()
            workers[connection] = worker
        with _deaths_told():
            for connection in workers:
                connection.send(function)
                connection.send(left.popleft())
            busy = list(workers)
            while busy:
                for ready in wait(busy):
                    assert isinstance(ready, Connection)
                    error, result = ready.recv()
                    if error:
                        raise error
                    if left:
                        ready.send(left.popleft())
                    else:
                        busy.remove(ready)
                    yield result
    finally:
        for worker in workers.values():
            worker.kill()
            worker.join()


def _start() -> tuple[Connection, BaseProcess]:
    """A new worker and our end of the connection to it."""
    # Spawned: a fork of a process that has used torch may hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    worker = context.Process(target=_serve, args=(theirs,), daemon=True)
    resource_tracker.ensure_running()  # its own start would let interrupts through again
    # What is held here stays held in the child, which is left out of Ctrl-C so.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        worker.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    return ours, worker


def _serve(connection: Connection) -> None:
    """What a worker does: one task after another."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    function: Callable[[Any], Any] = connection.recv()
    while True:
        task = connection.recv()
        try:
            connection.send((None, function(task)))
        except Exception as error:  # noqa: BLE001 - it is raised in the parent
            error.add_note(traceback.format_exc())
            connection.send((error, None))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _deaths_told() -> Iterator[None]:
    """A connection that breaks means that the process at its other end is gone."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise BrokenExecutor("a worker process died") from error
