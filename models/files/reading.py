"""Bytes, text and JSON of files from elsewhere: regular files only, bounded in size and nesting.

It needs the standard library alone, as build folders carry a copy.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MEMORY_VARIABLE = "CODESIGN_MAX_MEMORY"
"""Environment variable with the most bytes that the arrays of one file may take, such as 8G."""
MAX_MEMORY = 2 << 30
"""The same where the variable is not set."""
TEXT_BYTES = 16 << 20
"""Default of the largest text or JSON file."""
MAX_DEPTH = 64
"""Most levels of lists and objects in a JSON or YAML file."""
MAX_DIGITS = 18
"""Most digits of an integer in a JSON or YAML file, so that it fits 64 bits."""
MAX_JSON_VALUES = 4_000_000
"""Most values in a JSON file."""
SHOWN = 60
"""Most characters of a file's text that a message quotes."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class FileError(ValueError):
    """Error in a file; the message says which, where in it, what is wrong and what is allowed."""


class MissingFile(FileError):
    """There is no such file."""


@contextlib.contextmanager
def told_as(kind: type[Exception]) -> Iterator[None]:
    """Raise a FileError of the ``with`` block as a ``kind`` with the same message."""
    try:
        yield
    except FileError as error:
        if isinstance(error, kind):
            raise
        raise kind(str(error)) from None


# Text in messages ----------------------------------------------------------------------------


def escaped(text: str, keep: str = "") -> str:
    r"""Return ``text`` with unprintable characters, other than those in ``keep``, as escapes.

    A terminal obeys none of what is left.

    >>> escaped("a\x1b[2Jb\n"), escaped("a\n", keep="\n")
    ('a\\x1b[2Jb\\n', 'a\n')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def printable(value: object, longest: int = SHOWN) -> str:
    r"""Return the start of a value's first line for a message, escaped.

    >>> printable("root:x:0\nsecret"), printable("9" * 70)[-5:]
    ('root:x:0...', '99...')
    """
    line, *rest = str(value)[: 4 * longest].split("\n", 1)
    text = escaped(line)
    return f"{text[:longest]}..." if rest or len(text) > longest else text


def quoted(value: object) -> str:
    r"""Return a value for a message: of text the start of its first line, escaped and in quotes.

    >>> quoted("root:x:0\nsecret"), quoted(1.5)
    ("'root:x:0'...", '1.5')
    """
    if not isinstance(value, str):
        return printable(repr(value))
    line, *rest = value.split("\n", 1)
    return f"{line[:SHOWN]!r}{'...' if rest or len(line) > SHOWN else ''}"


def size_text(count: int) -> str:
    """Return a number of bytes for a message.

    >>> size_text(3 << 30), size_text(700)
    ('3 GiB', '700 bytes')
    """
    for unit, factor in reversed(_UNITS.items()):
        if count >= factor:
            return f"{count / factor:.4g} {unit}iB"
    return f"{count} bytes"


def parse_size(text: str, name: str) -> int:
    """Return a number of bytes, >= 1, such as 500M or 8G; ``name`` stands for it in messages.

    Raises FileError for any other text.

    >>> parse_size("8g", "limit") == 8 << 30
    True
    """
    found = re.fullmatch(r"(\d{1,15})([KMG]?)", text.strip().upper(), re.ASCII)
    if not found or not int(found[1]):
        raise FileError(
            f"{name}: must be a number of bytes, such as 500M or 8G, not {quoted(text)}"
        )
    return int(found[1]) * _UNITS.get(found[2], 1)


def max_memory() -> int:
    """Return the most bytes that the arrays of one file may take (CODESIGN_MAX_MEMORY).

    Raises FileError if the variable holds no such number.
    """
    text = os.environ.get(MEMORY_VARIABLE, "")
    return parse_size(text, MEMORY_VARIABLE) if text.strip() else MAX_MEMORY


def check_memory(where: object, need: int) -> None:
    """Raise FileError if data of ``need`` bytes is more than ``max_memory``."""
    most = max_memory()
    if need > most:
        raise FileError(
            f"{where}: takes {size_text(need)} of memory, more than the {size_text(most)} that one "
            f"file may; {MEMORY_VARIABLE}={math.ceil(need / _UNITS['M'])}M allows it"
        )


# Files ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file, or a link to one, for reading; nothing else is ever waited for.

    Raises MissingFile, and FileError for a folder, pipe, device or socket, or what cannot be read,
    also if the ``with`` block finds that out: any OSError there that names no file.
    """
    name = escaped(str(path))
    try:
        _check_regular(name, path.stat().st_mode)
        # Should it be replaced meanwhile: a pipe opened without O_NONBLOCK waits for a writer.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        file = open(os.open(path, flags), "rb")  # noqa: PTH123, SIM115
    except FileNotFoundError:
        raise MissingFile(f"{name}: no such file") from None
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{name}: is no file name ({error})") from None
    with file:
        _check_regular(name, os.fstat(file.fileno()).st_mode)
        try:
            yield file
        except OSError as error:
            if error.filename is None and error.strerror:
                raise FileError(f"{name}: cannot be read: {error.strerror}") from None
            raise


def _check_regular(name: str, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise FileError(f"{name}: is {_KINDS.get(stat.S_IFMT(mode), 'special')}, not a file")


def size(file: BinaryIO) -> int:
    """Return the size of an open file in bytes."""
    return os.fstat(file.fileno()).st_size


def read_bytes(path: Path, limit: int = TEXT_BYTES) -> bytes:
    """Return the content of a regular file of up to ``limit`` bytes. Raises FileError."""
    with opened(path) as file:
        # A file under /proc says that it is empty; one that grows must not be followed. Memory is
        # taken for what is asked for, so not for more than there can be.
        most = min(limit, max(size(file), TEXT_BYTES))
        data = file.read(most + 1) if size(file) <= limit else b""
        if size(file) > limit or len(data) > most:
            raise FileError(f"{escaped(str(path))}: is larger than the {size_text(limit)} allowed")
    return data


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """Return the UTF-8 text of a regular file, its lines ended by newlines alone.

    Raises FileError: as ``read_bytes``, and for other encodings.
    """
    try:
        text = read_bytes(path, limit).decode()
    except UnicodeDecodeError as error:
        place = f"byte {error.start}"
        raise FileError(f"{escaped(str(path))}: is not UTF-8 text ({place})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


# JSON ----------------------------------------------------------------------------------------


def read_json(path: Path, limit: int = TEXT_BYTES) -> Any:
    """Return the value of a JSON file, as ``parse_json`` does. Raises FileError."""
    return parse_json(read_text(path, limit), str(path))


def parse_json(text: str, name: str = "<text>") -> Any:
    """Return the value of a JSON text; ``name`` stands for the file in messages.

    Raises FileError: no JSON, a key twice, numbers that are not finite, integers of more than
    MAX_DIGITS digits, text that is no Unicode, nested deeper than MAX_DEPTH, more than
    MAX_JSON_VALUES values (counted by commas and opening brackets, also those within text).

    >>> parse_json('{"lanes": 8}')
    {'lanes': 8}
    """
    name = escaped(name)
    if text.count(",") + text.count("[") + text.count("{") > MAX_JSON_VALUES:
        raise FileError(f"{name}: holds more than {MAX_JSON_VALUES} values")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_constant,
        )
        _check_depth(value)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise FileError(f"{name}:{error.lineno}: is not JSON: {error.msg}") from None
    except UnicodeEncodeError:
        raise FileError(f"{name}: holds text that is no Unicode (half a surrogate pair)") from None
    except RecursionError:
        raise FileError(f"{name}: is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise FileError(f"{name}: {error}") from None
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {quoted(twice)} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS and len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"{printable(text)} has more than {MAX_DIGITS} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{printable(text)} is too large a number")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a finite number")


def _check_depth(value: Any) -> None:
    """Raise ValueError if lists and dictionaries are nested deeper than MAX_DEPTH."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if type(parent) is dict else parent)
            if type(child) is dict or type(child) is list
        ]
    if level:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
