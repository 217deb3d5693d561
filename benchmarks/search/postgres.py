"""A PostgreSQL server of our own, for as long as it is needed."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ACCOUNTS = ("postgres", "nobody")
"""Users that the server runs as where this process is root's, as which it refuses to run."""


def missing() -> str | None:
    """Return why no server can be started here, or None."""
    if _program("initdb") is None:
        return "no PostgreSQL server (initdb) is installed"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "no driver for PostgreSQL (psycopg) is installed"
    return None


@contextmanager
def server() -> Iterator[str]:
    """Start a server with an empty database; yield its URL; stop it and remove its files."""
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    user: dict[str, Any] = {}
    if os.getuid() == 0:
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        account = next(known[name] for name in ACCOUNTS if name in known)
        os.chown(folder, account.pw_uid, account.pw_gid)
        user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    quiet: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL, **user}
    quiet["stderr"] = subprocess.DEVNULL
    data, port = folder / "data", _free_port()
    initdb, postgres = _program("initdb"), _program("postgres")
    assert initdb is not None
    assert postgres is not None
    try:
        options = ["--auth=trust", "--username=trials", "--encoding=UTF8", "--no-sync"]
        subprocess.run([initdb, "-D", data, *options], check=True, **quiet)
        command = [postgres, "-D", data, "-k", folder, "-h", "127.0.0.1", "-p", str(port), "-F"]
        process = subprocess.Popen(command, **quiet)
        try:
            _wait_until_ready(port, process)
            yield f"postgresql://trials:no-secret@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # stops without waiting for clients
            process.wait(60)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    """Return the path of a program of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=trials dbname=postgres").close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
