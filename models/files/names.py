"""Names that may stand in scripts and on command lines of tools, and files under such names.

Scripts of Yosys and makefiles have no quoting that holds for every name; so a name is plain there,
or refused, and a file with another one gets a name of ours. It needs the standard library alone, as
build folders carry a copy.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .reading import FileError, quoted

LONGEST = 128
"""Most characters of a name in a script."""
_IDENTIFIER = re.compile(rf"[A-Za-z_][A-Za-z0-9_]{{0,{LONGEST - 1}}}")
_PART = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST - 1}}}")
_SUFFIX = ".v"


def identifier(name: str, what: str) -> str:
    """Return ``name`` if it is a plain Verilog name. Raises FileError, starting with ``what``.

    >>> identifier("left_npu", "top module")
    'left_npu'
    """
    if not _IDENTIFIER.fullmatch(name):
        raise FileError(
            f"{what}: must be a letter or _, then letters, digits and _, at most {LONGEST} in all, "
            f"not {quoted(name)}"
        )
    return name


def part(name: str, what: str) -> str:
    """Return ``name`` if it is one of a device or design. Raises FileError, starting with ``what``.

    That is a letter or digit, then letters, digits, ``_`` and ``-``.
    """
    if not _PART.fullmatch(name):
        raise FileError(
            f"{what}: must be letters, digits, _ and -, at most {LONGEST} in all and none of the "
            f"last two first, not {quoted(name)}"
        )
    return name


def verilog_file(path: str) -> str:
    """Return the name of a Verilog file, a plain Verilog name and ``.v``, perhaps in ``rtl/``.

    Raises FileError for any other.
    """
    if not is_ours(path.removeprefix("rtl/")):
        raise FileError(f"Verilog file: must be a plain name and {_SUFFIX}, not {quoted(path)}")
    return path


def is_ours(file: str) -> bool:
    """Return True if the file name is a plain Verilog name and ``.v``."""
    return file.endswith(_SUFFIX) and bool(_IDENTIFIER.fullmatch(file.removesuffix(_SUFFIX)))


@dataclass(frozen=True)
class Sources:
    r"""Verilog files under names that tools may be given. Made by ``Sources.of``.

    >>> Sources.of({"a;b.v": "module a; endmodule", "npu.v": ""}).foreign
    {'source_0001.v': 'a;b.v'}
    """

    texts: Mapping[str, str]
    """Text by name, in the order of the names that the files came with."""
    foreign: Mapping[str, str]
    """The name that a file came with, by its name here, where they differ."""

    @classmethod
    def of(cls, files: Mapping[str, str]) -> Sources:
        """Name files (text by any name): ``source_0001.v`` and so on where theirs is not plain."""
        free = (
            name
            for number in range(1, 2 * len(files) + 1)
            if (name := f"source_{number:04}{_SUFFIX}") not in files
        )
        names = {name: name if is_ours(name) else next(free) for name in sorted(files)}
        foreign = {ours: name for name, ours in names.items() if ours != name}
        return cls({ours: files[name] for name, ours in names.items()}, foreign)

    @contextlib.contextmanager
    def told(self, kind: type[Exception]) -> Iterator[None]:
        """Let a ``kind`` of the ``with`` block say which files its message names.

        Files that have their own names are not mentioned.
        """
        try:
            yield
        except kind as error:
            message = str(error)
            notes = [
                f"{ours} is {quoted(name)}"
                for ours, name in self.foreign.items()
                if ours in message
            ]
            if not notes:
                raise
            raise type(error)("\n".join([message, *notes])) from None
