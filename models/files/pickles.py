"""Pickles from elsewhere, read without running them.

A pickle is a program. Its instructions are checked against a list of those that build plain values
before any is followed, and what it calls are stand-ins that the caller gives.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

from models.files.reading import FileError, printable

StandIns = Mapping[tuple[str, str], Any]
"""(Module, name) that a pickle may ask for -> what it gets."""
_OPCODES = frozenset(
    {
        "PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE",
        "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
        "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
        "SHORT_BINUNICODE", "BINUNICODE",
        "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS",
        "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
        "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET",
        "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID",
    }
)  # fmt: skip
_PUTS = frozenset({"BINPUT", "LONG_BINPUT"})
_BROKEN = (
    pickle.UnpicklingError, ValueError, LookupError, TypeError, AttributeError, EOFError,
    OverflowError, MemoryError, RecursionError,
)  # fmt: skip
"""What damaged pickles raise."""


def loads(
    data: bytes,
    where: str,
    stand_ins: StandIns,
    persistent: Callable[[Any], Any] | None = None,
    encoding: str = "ASCII",
) -> Any:
    """Return the value of a pickle. Raises FileError, starting with ``where``.

    persistent: gives the object of a persistent id, or raises FileError, which is passed on as it
    is, or ValueError; None: ids are refused. encoding: how text of Python 2 is decoded; "bytes":
    not at all.
    """

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in stand_ins:
                raise ValueError(f"{module}.{name} has no place in it")
            return stand_ins[module, name]

        def persistent_load(self, pid: Any) -> Any:
            if persistent is None:
                raise ValueError("a persistent id has no place in it")
            return persistent(pid)

    try:
        _check(data)
        return Unpickler(io.BytesIO(data), encoding=encoding).load()
    except FileError:
        raise
    except _BROKEN as error:
        raise FileError(f"{where}: {printable(error, 99)}") from None


def _check(data: bytes) -> None:
    """Raise ValueError for an instruction that builds something else than plain values.

    Also for one that stores in a place far beyond those in use, and for a damaged pickle.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES:
            raise ValueError(f"the instruction {opcode.name} has no place in it")
        # The unpickler takes memory for every place up to the largest.
        if opcode.name in _PUTS and isinstance(argument, int) and argument > count:
            raise ValueError(f"the instruction {opcode.name} {argument} has no place in it")
