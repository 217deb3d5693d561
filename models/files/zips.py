"""Zip archives from elsewhere: sizes from the directory before a member is unpacked.

It needs the standard library alone, as build folders carry a copy.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from .reading import FileError, escaped, opened, printable, size_text

MAX_MEMBERS = 1_000_000
"""Most members of an archive."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_BROKEN = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError,
    LookupError, OverflowError, OSError,
)  # fmt: skip
"""What zipfile raises for damaged archives; OSError is a seek to a place before the start."""


class Archive:
    """The members of an open zip archive by name, KeyError for others. Made by ``opened_zip``."""

    def __init__(self, file: zipfile.ZipFile, where: str) -> None:
        """Check the directory: number of members, names given twice. Raises FileError."""
        self._file, self.where = file, where
        infos = file.infolist()
        if len(infos) > MAX_MEMBERS:
            raise FileError(f"{where}: holds {len(infos)} files, more than {MAX_MEMBERS}")
        self._infos = {info.filename: info for info in infos}
        if len(self._infos) != len(infos):
            raise FileError(f"{where}: holds two files of one name")

    @property
    def names(self) -> list[str]:
        """Names of all members, in the archive's order."""
        return list(self._infos)

    @property
    def stored(self) -> bool:
        """True if no member is compressed: an honest archive is then larger than what it holds.

        Members that overlap may still be larger together.
        """
        return all(info.compress_type == zipfile.ZIP_STORED for info in self._infos.values())

    def size(self, name: str) -> int:
        """Return the unpacked size of a member in bytes, as the directory has it."""
        return self._infos[name].file_size

    @contextlib.contextmanager
    def member(self, name: str) -> Iterator[IO[bytes]]:
        """Open a member; no more than ``size(name)`` bytes can be read.

        Raises FileError: encrypted, another method than deflate, damaged. Other ValueErrors that
        the ``with`` block raises, its LookupErrors, RuntimeErrors and OSErrors count as damage.
        """
        info, where = self._infos[name], f"{self.where}: {printable(name)}"
        if info.flag_bits & _ENCRYPTED:
            raise FileError(f"{where} is encrypted")
        if info.compress_type not in _METHODS:
            raise FileError(f"{where} is compressed by another method than deflate")
        try:
            with self._file.open(info) as file:
                yield file
        except FileError:
            raise
        except _BROKEN as error:
            raise FileError(f"{where}: truncated or damaged ({printable(error)})") from None

    def read(self, name: str, limit: int) -> bytes:
        """Return a member of up to ``limit`` bytes. Raises FileError."""
        if self.size(name) > limit:
            raise FileError(
                f"{self.where}: {printable(name)} takes {size_text(self.size(name))}, more than "
                f"the {size_text(limit)} allowed"
            )
        with self.member(name) as file:
            return file.read()


@contextlib.contextmanager
def opened_zip(path: Path) -> Iterator[Archive]:
    """Open a zip file. Raises FileError: not a regular file, no zip, damaged."""
    with opened(path) as file, archive(file, escaped(str(path))) as found:
        yield found


@contextlib.contextmanager
def archive(file: BinaryIO, where: str) -> Iterator[Archive]:
    """Read the directory of an open zip file, called ``where`` in messages. Raises FileError."""
    try:
        whole = zipfile.ZipFile(file)
    except _BROKEN as error:
        raise FileError(f"{where}: truncated or not a zip file ({printable(error)})") from None
    with whole:
        yield Archive(whole, where)
