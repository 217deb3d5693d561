"""Reading within bounds: what is no file, too large, too deep or too long is refused by name."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.files import forms, reading, tables
from models.files.reading import FileError, MissingFile


def test_a_file_is_read_up_to_its_limit_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert reading.read_bytes(path, 5) == b"12345"
    with pytest.raises(FileError, match=r"a: is larger than the 4 bytes allowed"):
        reading.read_bytes(path, 4)
    link = tmp_path / "link"
    link.symlink_to(path)
    assert reading.read_text(link) == "12345"


def test_a_file_that_says_that_it_is_empty_is_read_to_the_limit() -> None:
    endless = Path("/proc/self/maps")  # its size is 0
    assert len(reading.read_bytes(endless)) > 100
    with pytest.raises(FileError, match="larger than the 100 bytes"):
        reading.read_bytes(endless, 100)


@pytest.mark.parametrize(
    ("kind", "told"),
    [("pipe", "a named pipe"), ("zero", "a device"), ("folder", "a folder"), ("socket", "a socket"),
     ("none", "no such file"), ("loop", "cannot be read")],
)  # fmt: skip
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, kind: str, told: str) -> None:
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
    elif kind == "loop":
        path.symlink_to(path)
    start = time.monotonic()
    with pytest.raises(MissingFile if kind == "none" else FileError, match=told):
        reading.read_bytes(path)
    assert time.monotonic() - start < 1


def test_names_are_escaped(tmp_path: Path) -> None:
    for name in ("a\x1b[2J", "a\nb"):
        with pytest.raises(FileError) as caught:
            reading.read_bytes(tmp_path / name)
        assert str(caught.value).isprintable()
    with pytest.raises(FileError, match="is no file name"):
        reading.read_bytes(tmp_path / "a\0b")


@given(st.text())
def test_what_is_printable_stays_and_all_else_is_escaped(text: str) -> None:
    shown = reading.escaped(text)
    assert shown.isprintable()
    assert (shown == text) == text.isprintable()
    assert len(reading.printable(text)) <= reading.SHOWN + 3
    assert "\n" not in reading.quoted(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1,\n 2,\n x]", r"a\.json:3: is not JSON: Expecting value"),
        ("", r"a\.json:1: is not JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "key 'a' is given twice"),
        ("[NaN]", "NaN is not a finite number"),
        ("[-Infinity]", "-Infinity is not a finite number"),
        ("[1e999]", "1e999 is too large a number"),
        (f"[{'1' * 19}]", "has more than 18 digits"),
        (f"[-{'1' * 5000}]", "has more than 18 digits"),
        ('["\\ud800"]', "half a surrogate pair"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested deeper than 64 levels"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        (f"[{'0,' * 4_000_000}0]", "more than 4000000 values"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileError, match=message):
        reading.parse_json(text, "a.json")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**18) + 1, 10**18 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab"), inner),
    )
)  # fmt: skip
def test_other_json_is_read_as_the_standard_library_does(value: object) -> None:
    text = json.dumps(value)
    assert reading.parse_json(text) == json.loads(text) == value
    deep = json.loads("[" * 64 + "]" * 64)
    assert reading.parse_json(json.dumps(deep)) == deep


@pytest.mark.parametrize(
    ("text", "count"), [("", 2 << 30), ("700", 700), ("8G", 8 << 30), (" 500m ", 500 << 20)]
)
def test_the_memory_limit_is_settable(
    monkeypatch: pytest.MonkeyPatch, text: str, count: int
) -> None:
    monkeypatch.setenv(reading.MEMORY_VARIABLE, text)
    assert reading.max_memory() == count
    reading.check_memory("a", count)
    with pytest.raises(FileError, match=r"a: takes .* more than .* CODESIGN_MAX_MEMORY=\d+M"):
        reading.check_memory("a", count + 1)


@pytest.mark.parametrize("text", ["many", "-1", "1.5G", "9" * 400, "\u0662"])
def test_another_memory_limit_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(reading.MEMORY_VARIABLE, text)
    with pytest.raises(FileError, match="CODESIGN_MAX_MEMORY: must be a number of bytes"):
        reading.max_memory()


FORM = {"a": range(1, 9), "b?": (None, [float]), "c": {str: {"d": str}}, "e?": bool}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "f: must be an object, not a list"),
        ({"c": {}}, "f: missing key a"),
        ({"a": 9, "c": {}}, "f: a: must be an integer 1..8, not 9"),
        ({"a": True, "c": {}}, "f: a: must be an integer 1..8, not True"),
        ({"a": 1, "b": 3, "c": {}}, "f: b: must be null or a list, not 3"),
        ({"a": 1, "b": [1, "x"], "c": {}}, r"f: b\[1\]: must be a number, not 'x'"),
        ({"a": 1, "c": {"k\x1b": {}}}, r"f: c\.k\\x1b: missing key d"),
        ({"a": 1, "c": {}, "e": 1}, "f: e: must be true or false, not 1"),
    ],
)
def test_forms_name_the_place(value: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        forms.conform(value, FORM, "f")
    forms.conform({"a": 1, "b": None, "c": {"k": {"d": "x", "more": 1}}}, FORM, "f")


def test_csv_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('a,b\n"1,\n')
    with pytest.raises(FileError, match=r"a\.csv:2: is not CSV"):
        tables.read_csv(path)
    path.write_text(f"a\n{'x' * 200_000}\n")
    with pytest.raises(FileError, match=r"a\.csv:2: is not CSV: field larger"):
        tables.read_csv(path)
    path.write_text('a,"b\n1"\r\n')
    assert tables.read_csv(path) == [["a", "b\n1"]]
