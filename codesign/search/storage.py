"""Place of the study of a search: a journal file or a database, opened for Optuna.

Several processes may use one: claims are atomic in each kind, and what a killed process leaves in a
journal is mended by the next one that appends. Nothing in a study is unpickled.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, _CachedStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from codesign.results import STUDY, UserError
from models.files.reading import printable, quoted, read_bytes, told_as
from models.files.writing import check_own

DRIVERS = {
    "sqlite": ("", ""),
    "postgresql": ("psycopg", 'pip install "codesign[postgres]"'),
    "mysql": ("pymysql", "pip install pymysql"),
}
"""Kind of database -> default driver of SQLAlchemy, and how it is installed."""
MOST_NAME = 100
"""Most characters of a study's name."""
LOCK_SECONDS = 5
"""Age of a journal lock that a killed process must have left (an append takes milliseconds)."""
BUSY_SECONDS = 60
"""Longest wait for a file of SQLite that others write to."""
RETRIES_S = (0.1, 0.4, 1.0)
"""Waits before a database is tried again."""
MAX_BYTES = 256 << 20
"""Size of the largest journal."""
_START = b'{"op_code":'
"""How every line of a journal starts."""


@dataclass(frozen=True)
class StudyPlace:
    """A study of that name, in a journal file (a Path) or a database. Nothing is opened.

    >>> place = StudyPlace.of("postgresql://me:secret@host/trials", "digits")
    >>> print(place)
    study digits in postgresql+psycopg://me:***@host/trials
    """

    storage: Path | URL
    study: str = STUDY

    @classmethod
    def of(cls, storage: str, study: str = STUDY) -> StudyPlace:
        """Return the place that a user names: the path of a journal, or the URL of a database.

        Raises UserError for a URL of another kind than DRIVERS has, and a bad name of a study.
        """
        if not 0 < len(study) <= MOST_NAME or not study.isprintable():
            raise UserError(f"study must be a name of 1 to {MOST_NAME} characters")
        if storage and "://" not in storage:
            return cls(Path(storage), study)
        kind = storage.partition("://")[0].partition("+")[0]
        if kind not in DRIVERS:
            raise UserError(
                "storage must be the path of a journal, or a URL of "
                f"{', '.join(DRIVERS)}, not of {quoted(kind)}"
            )
        try:
            url = sqlalchemy.make_url(storage)
        except (ArgumentError, ValueError):  # whose messages may hold the password
            raise UserError(f"storage is no valid URL of {kind}") from None
        if kind == "sqlite" and (url.database or ":memory:") == ":memory:":
            raise UserError("storage must name a file: sqlite:///PATH")
        driver = DRIVERS[kind][0]
        if driver and url.drivername == kind:
            url = url.set(drivername=f"{kind}+{driver}")
        return cls(url, study)

    def __str__(self) -> str:
        """Return the place for messages, without passwords."""
        start = "" if self.study == STUDY else f"study {self.study} in "
        return f"{start}{shown(self.storage)}"

    __repr__ = __str__

    @property
    def file(self) -> Path | None:
        """The file that holds the study, None for a database server."""
        if isinstance(self.storage, Path):
            return self.storage
        local = self.storage.get_backend_name() == "sqlite"
        return Path(self.storage.database or "") if local else None

    def open(self) -> BaseStorage:
        """Open the journal or database, created if missing, in an existing folder.

        Raises UserError where that is not possible, or for a file that is no journal's.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with told_as(UserError), self.told():
            if self.file is not None:
                check_own(self.file)
            if isinstance(self.storage, Path):
                _check_journal(self.storage)
                path = str(self.storage)
                return JournalStorage(JournalFileBackend(path, _Lock(path, LOCK_SECONDS)))
            return _database(self.storage)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Raise a UserError without passwords in place of what drivers and Optuna raise."""
        try:
            yield
        except ImportError:
            assert isinstance(self.storage, URL)
            kind = self.storage.get_backend_name()
            install = DRIVERS[kind][1] or "install it"
            raise UserError(
                f"no driver for {shown(self.storage)} is installed: {install}"
            ) from None
        except (SQLAlchemyError, OptunaError) as error:
            cause = error if isinstance(error, SQLAlchemyError) else error.__cause__ or error
            if isinstance(cause, DBAPIError):
                cause = cause.orig or cause
            said = printable(cause, 300).removesuffix("...")
            raise UserError(f"{shown(self.storage)} cannot be used: {said}") from None


def shown(storage: Path | URL) -> str:
    """Return a path, or a URL without what may be secret: its password and its query."""
    if isinstance(storage, Path):
        return str(storage)
    return storage.set(query={}).render_as_string(hide_password=True)


class _Lock(JournalFileSymlinkLock):
    """Optuna's lock for appends, which a kill does not leave behind, on a journal that is whole.

    The operating system's lock on the journal comes first: it ends with its holder, and makes sure
    that one process at a time waits for the other lock, which other tools use, to grow old.
    """

    def __init__(self, path: str, grace_period: int) -> None:
        super().__init__(path, grace_period)
        self._path, self._descriptor = path, -1

    def acquire(self) -> bool:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            super().acquire()
            _drop_torn_line(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        # From within acquire of the base class, that is of a lock that another process has left.
        if self._descriptor < 0:
            super().release()
            return
        try:
            super().release()
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _check_journal(path: Path) -> None:
    """Raise UserError unless the first line and the last ones of the file are of a journal.

    Those between are checked by Optuna's reading of them, but the last complete line is not, as
    Optuna expects the rest of a broken one, and a file of one line would be appended to.
    """
    if path.exists():
        data = read_bytes(path, MAX_BYTES)
        whole, _, torn = data.rpartition(b"\n")
        last = whole[whole.rfind(b"\n") + 1 :]
        starts = (data, torn, last)
        if not all(line.startswith(_START) or _START.startswith(line) for line in starts) or (
            last and not last.endswith(b"}")
        ):
            raise UserError(f"{path} is not a trial journal")


def _drop_torn_line(descriptor: int) -> None:
    """Cut off the incomplete last line that a kill during an append leaves in a journal.

    A line is complete if it ends in a newline. Nobody else appends meanwhile.
    """
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)


def _database(url: URL) -> BaseStorage:
    """Open a database and create Optuna's tables in it if they are missing."""
    local = url.get_backend_name() == "sqlite"
    if local:
        _check_tables(url)
    options = {"connect_args": {"timeout": BUSY_SECONDS}} if local else {"pool_pre_ping": True}
    text = url.render_as_string(hide_password=False)
    found = _with_tables(text, options)
    if local:
        # Otherwise two processes may both read that a trial waits before one of them takes it.
        sqlalchemy.event.listen(found.engine, "connect", _manual_transactions)
        sqlalchemy.event.listen(found.engine, "begin", _write_at_once)
        found.engine.dispose()
    return _CachedStorage(found)


def _with_tables(text: str, options: dict[str, Any]) -> RDBStorage:
    """Return Optuna's storage, tried again a few times: others may be creating its tables, too."""
    for wait_s in RETRIES_S:
        try:
            return RDBStorage(text, options)
        except (SQLAlchemyError, OptunaError):
            time.sleep(wait_s)
    return RDBStorage(text, options)


def _check_tables(url: URL) -> None:
    """Raise UserError for a file of SQLite with tables of others alone, to which none are added.

    Also for views, triggers and virtual tables, which run for as long as they say.
    """
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT type, name, sql FROM sqlite_master").all()
    if found and not {name for _, name, _ in found} & {"studies", "version_info"}:
        raise UserError(f"{shown(url)} holds tables of something else than searches")
    computed = [
        name for kind, name, sql in found
        if kind not in ("table", "index") or re.match(r"\s*CREATE\s+VIRTUAL", sql or "", re.I)
    ]  # fmt: skip
    if computed:
        raise UserError(
            f"{shown(url)}: {quoted(computed[0])} is computed when it is read; a study has plain "
            "tables alone"
        )


def _manual_transactions(connection: object, record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]


def _write_at_once(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
