"""Hostile studies of searches: journals, databases, earlier searches, options that name them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.cases import CASES, ESCAPES, case
from tests.hostile.designs import SECRET


def _thesis(folder: Path) -> Path:
    """A file of the user's outside the folder."""
    other = folder.with_name(f"{folder.name}-thesis")
    other.write_text("a thesis\n")
    return other


def _study(storage: str) -> None:
    from tests.fuzz.studies import study

    study(storage)


def _worker(name: str, change: Callable[[Path], Any], form: str = "{}") -> None:
    """A case of a worker of a study in ``folder``/study, which ``change`` writes."""

    def make(folder: Path, build: Path) -> list[str]:
        path = folder / "study"
        change(path)
        return ["worker", "--storage", form.format(path)]

    CASES[name] = make


def _journal(change: Callable[[list[Any]], Any]) -> Callable[[Path], None]:
    """Write a journal whose lines are changed."""

    def write(path: Path) -> None:
        _study(str(path))
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        change(lines)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    return write


def _settings(**values: Any) -> Callable[[Path], None]:
    def change(lines: list[Any]) -> None:
        next(line for line in lines if "user_attr" in line)["user_attr"]["settings"] |= values

    return _journal(change)


_DB = "sqlite:///{}"
_worker("x5_journal_of_a_worker_is_a_link", lambda p: p.symlink_to(_thesis(p.parent)))
_worker("x5_journal_of_a_worker_has_two_names", lambda p: [_study(str(p)), os.link(p, f"{p}2")])
_worker("x5_database_is_a_link", lambda p: p.symlink_to(_thesis(p.parent)), _DB)
_worker("x10_pipe_as_journal", os.mkfifo)
_worker("x10_pipe_as_database", os.mkfifo, _DB)
_worker("x10_zero_as_database", lambda p: p.symlink_to("/dev/zero"), _DB)
_worker("x11_thesis_as_journal", lambda p: p.write_text("a thesis\n"))
_worker("x11_thesis_as_database", lambda p: p.write_text("a thesis\n" * 1000), _DB)
_worker("x11_journal_of_deep_lists", lambda p: p.write_text('{"op_code":' + "[" * 100_000 + "\n"))
_worker("x11_journal_of_many_digits", lambda p: p.write_text(f'{{"op_code":{"9" * 5000}}}\n'))
_worker("x11_study_of_a_path", _settings(dataset=["a"]))
_worker("x11_study_of_many_rows", _settings(resize=[1 << 40, 1]))
_worker("x11_study_of_another_space", _settings(space=[]))
_worker("x17_private_journal", lambda p: p.write_text(SECRET))
_worker("x17_private_database", lambda p: p.write_text(SECRET * 100), _DB)
_worker("x18_study_of_another_format", _settings(format="codesign explore 99"))
_worker("x19_escapes_in_a_study", _settings(data_sha256=5 * ESCAPES))


def _beside(end: str) -> None:
    """A case of a database with a link beside it where SQLite writes."""

    def write(path: Path) -> None:
        _study(_DB.format(path))
        path.with_name(f"{path.name}{end}").symlink_to(_thesis(path.parent))

    _worker(f"x5_{end[1:]}_of_a_database_is_a_link", write, _DB)


_beside("-journal")
_beside("-wal")


def _others(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theses (text TEXT)")
        database.execute("INSERT INTO theses VALUES ('years of work')")
    database.close()


def _computed(sql: str) -> Callable[[Path], None]:
    """Write a database with a study and something that is computed when it is read."""

    def write(path: Path) -> None:
        _study(_DB.format(path))
        with sqlite3.connect(path) as database:
            database.executescript(sql)
        database.close()

    return write


_FOR_EVER = "WITH RECURSIVE n(study_id) AS (SELECT 1 UNION ALL SELECT study_id + 1 FROM n)"
_worker("x20_view_without_end", _computed(
    "ALTER TABLE studies RENAME TO old; CREATE VIEW studies AS "
    f"{_FOR_EVER} SELECT study_id, 'explore' AS study_name FROM n"
), _DB)  # fmt: skip
_worker("x20_trigger_without_end", _computed(
    "CREATE TRIGGER t AFTER INSERT ON trials BEGIN "
    f"SELECT count(*) FROM ({_FOR_EVER} SELECT study_id FROM n); END"
), _DB)  # fmt: skip
_worker("x20_virtual_table", _computed("CREATE VIRTUAL TABLE more USING fts5(text)"), _DB)
_worker("x14_database_of_others", _others, _DB)


def _explore(folder: Path, *options: object) -> list[str]:
    out = ["--out", str(folder / "out")]
    return ["explore", "--lut-budget", "9000", *out, *map(str, options)]


def _config(name: str, text: str, prepare: Callable[[Path], Any] = lambda folder: None) -> None:
    """A case of a search file; ``{}`` in its text is its folder."""

    def make(folder: Path, build: Path) -> list[str]:
        prepare(folder)
        (folder / "a.yaml").write_text(text.replace("{}", str(folder)))
        return _explore(folder, "--config", folder / "a.yaml")

    CASES[name] = make


_config("x14_search_file_with_my_journal", "storage: '{}/mine'",
        lambda folder: _study(str(folder / "mine")))  # fmt: skip
_config("x14_search_file_with_my_database", "storage: 'sqlite:///{}/mine'",
        lambda folder: _others(folder / "mine"))  # fmt: skip
_config("x14_search_file_with_my_thesis", "storage: '{}/mine'",
        lambda folder: (folder / "mine").write_text("a thesis\n"))  # fmt: skip
_config("x3_strategy_of_a_search_file", "strategy: 'os:system'")
_config("x17_private_space", "space: '{}/private'",
        lambda folder: (folder / "private").write_text(SECRET))  # fmt: skip


def _earlier(name: str, change: Callable[[Path], Any]) -> None:
    """A case of an earlier search to learn from."""

    def make(folder: Path, build: Path) -> list[str]:
        from codesign.explore.settings import FORMAT

        run = folder / "run"
        run.mkdir()
        (run / "explore.json").write_text(json.dumps({"format": FORMAT}))
        change(run)
        return _explore(folder, "--warm-start", run)

    CASES[name] = make


_JOURNAL = "trials.journal"
_earlier("x5_earlier_journal_is_a_link", lambda r: (r / _JOURNAL).symlink_to(_thesis(r)))
_earlier("x10_pipe_as_earlier_journal", lambda r: os.mkfifo(r / _JOURNAL))
_earlier("x11_thesis_as_earlier_journal", lambda r: (r / _JOURNAL).write_text("a thesis"))
_earlier("x17_private_earlier_journal", lambda r: (r / _JOURNAL).write_text(SECRET))
_earlier("x18_earlier_accuracy_of_1e300", lambda r: _journal(
    lambda lines: lines[-1].update(values=[1e300, 1.0, 1.0])
)(r / _JOURNAL))  # fmt: skip
_earlier("x18_earlier_features_of_text", lambda r: _journal(
    lambda lines: [line["user_attrs"].update(features=["a"] * 10)
                   for line in lines if "user_attrs" in line]
)(r / _JOURNAL))  # fmt: skip


@case
def x17_private_table_of_a_benchmark(folder: Path, build: Path) -> list[str]:
    (folder / "a.csv").write_text(SECRET)
    return ["bench", "search", "--synthesise", str(folder / "a.csv")]


@case
def x10_pipe_as_table_of_a_benchmark(folder: Path, build: Path) -> list[str]:
    os.mkfifo(folder / "a.csv")
    return ["bench", "search", "--synthesise", str(folder / "a.csv")]
