"""What the hostile cases share: their table, and files with headers that lie."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

Case = Callable[[Path, Path], list[str]]
"""Gets an empty folder and a copy of a good build folder, makes its files, returns the arguments of
``codesign``."""
CASES: dict[str, Case] = {}
GIGABYTES = 0xFFFFFF00
"""Almost 4 GiB, the most that a zip says without an extension."""
ESCAPES = "\x1b[2J\x1b]0;owned\x07"


def case(function: Case) -> Case:
    CASES[function.__name__] = function
    return function


def png(columns: int, rows: int) -> bytes:
    """A grey PNG of that size, all zeros: 1,000 times smaller than its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", columns, rows, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(rows * (1 + (columns + 7) // 8)), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def npy(shape: tuple[int, ...], kind: str = "|u1", data: bytes = b"") -> bytes:
    """An .npy with a header that says ``shape``, and other data."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def bomb(path: Path, name: str, data: bytes, size: int) -> Path:
    """A zip with one member whose directory says that it unpacks to ``size`` bytes."""
    zipped(path, {name: data + bytes(1000)})
    true, said = (struct.pack("<I", n) for n in (len(data) + 1000, size))
    path.write_bytes(path.read_bytes().replace(true, said))
    return path
