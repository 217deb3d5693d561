"""Forms of JSON files whose values are used as plain data: keys, types and ranges, checked at once.

It needs the standard library alone, as build folders carry a copy.
"""

from __future__ import annotations

import math
from typing import Any

from .reading import FileError, printable, quoted

Form = Any
"""A type (``float`` takes any finite number, ``dict`` and ``list`` anything inside them), a
``range`` of integers, None, ``[Form]`` of a list's entries, a dictionary of Forms by key, in which
``"key?"`` may be absent, ``{str: Form}`` of any keys, or a tuple of such Forms, none of them a
tuple, of which the first that is of the value's kind must hold."""
_WORDS = {
    int: "an integer", float: "a number", str: "text", bool: "true or false", dict: "an object",
    list: "a list",
}  # fmt: skip


def conform(value: Any, form: Form, where: str) -> None:
    """Raise FileError, starting with ``where``, unless a JSON value has a form.

    Keys that the form does not have are allowed: a later version may have written them.

    >>> conform({"luts": 7, "more": 1}, {"luts": int, "ffs?": int}, "a.json")
    >>> conform({"luts": "x"}, {"luts": int}, "a.json")
    Traceback (most recent call last):
    models.files.reading.FileError: a.json: luts: must be an integer, not 'x'
    """
    _check(value, form, where, "")


def _check(value: Any, form: Form, where: str, path: str) -> None:
    if isinstance(form, dict):
        _check_object(value, form, where, path)
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise _wrong(value, form, where, path)
        for index, item in enumerate(value):
            _check(item, form[0], where, f"{path}[{index}]")
    elif isinstance(form, tuple):
        fitting = [one for one in form if _shallow(value, one)]
        if not fitting:
            raise _wrong(value, form, where, path)
        _check(value, fitting[0], where, path)
    elif not _shallow(value, form):
        raise _wrong(value, form, where, path)


def _check_object(value: Any, form: dict[Any, Form], where: str, path: str) -> None:
    if not isinstance(value, dict):
        raise _wrong(value, form, where, path)
    start = f"{path}." if path else ""
    if str in form:
        for key, item in value.items():
            _check(item, form[str], where, f"{start}{printable(key)}")
        return
    for key, inner in form.items():
        name = key.removesuffix("?")
        if name in value:
            _check(value[name], inner, where, f"{start}{name}")
        elif name == key:
            raise FileError(f"{where}: {f'{path}: ' if path else ''}missing key {name}")


def _shallow(value: Any, form: Form) -> bool:
    """Return True if a value is of the form's kind, whatever lies inside it."""
    if form is None:
        return value is None
    if isinstance(form, dict | list):
        return isinstance(value, type(form))
    if isinstance(form, range):
        return type(value) is int and value in form
    if form is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is form


def _wrong(value: Any, form: Form, where: str, path: str) -> FileError:
    shown = _WORDS[type(value)] if isinstance(value, dict | list) else quoted(value)
    return FileError(f"{where}: {f'{path}: ' if path else ''}must be {_told(form)}, not {shown}")


def _told(form: Form) -> str:
    if isinstance(form, tuple):
        return " or ".join(map(_told, form))
    if isinstance(form, range):
        return f"an integer {form.start}..{form.stop - 1}"
    if isinstance(form, dict | list):
        return _WORDS[type(form)]
    return "null" if form is None else _WORDS[form]
