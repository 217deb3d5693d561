"""The typed tree of a YAML or JSON file: every value knows its file and place.

Readers take values out of a Node through typed methods (``integer``, ``choice``, ``fields``, ...),
which raise YamlError with file and line, or path, for a value of the wrong type or range. ``build``
makes a dataclass from a mapping by its type hints.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from models.errors import YamlError
from models.files.reading import SHOWN, escaped, quoted

Scalar = str | int | float | bool | None
T = TypeVar("T")
NAMES_SHOWN = 100
"""Most known names that a message lists."""


@dataclass(frozen=True)
class Node:
    """One YAML value (scalar, list, mapping) with its file and line (from 1; its key's, if any).

    Made by ``yaml_io.load`` and ``json_io.load``.

    >>> lanes = Node(8, "npu.yaml", 1, "lanes")
    >>> lanes.integer(low=1), lanes.error("is too large")
    (8, YamlError('npu.yaml:1: lanes: is too large'))
    """

    value: Any
    """A Scalar; of YAML a tuple or dictionary of Nodes, of JSON a list or dictionary of values, of
    which Nodes are made when they are asked for."""
    file: str
    line: int | None
    """None in JSON."""
    path: str
    """Position in the document, such as ``npu.lanes`` or ``layers[2].kernel``."""

    @property
    def where(self) -> str:
        """File and line, or file and path in JSON, for the start of a message."""
        if self.line is not None:
            return f"{self.file}:{self.line}"
        return f"{self.file}: {escaped(self.path)}" if self.path else self.file

    def error(self, message: str) -> YamlError:
        """Return a YamlError ``where: message``, in YAML with the path between, for the caller."""
        shown = f": {escaped(self.path)}" if self.path and self.line is not None else ""
        return YamlError(f"{self.where}{shown}: {message}")

    def _wanted(self, what: str) -> YamlError:
        kinds: dict[type, str] = {dict: "a mapping", tuple: "a list", list: "a list"}
        return self.error(
            f"must be {what}, not {kinds.get(type(self.value)) or quoted(self.value)}"
        )

    # Collections -----------------------------------------------------------------------------

    def _child(self, value: Any, path: str) -> Node:
        return value if isinstance(value, Node) else Node(value, self.file, None, path)

    def mapping(self) -> Mapping[str, Node]:
        """Return the nodes of a mapping by key; any key is allowed."""
        if not isinstance(self.value, dict):
            raise self._wanted("a mapping")
        if self.line is not None:
            return self.value
        start = f"{self.path}." if self.path else ""
        return {key: self._child(value, f"{start}{key}") for key, value in self.value.items()}

    def get(self, key: str) -> Node | None:
        """Return the node of a mapping's key; None if it is absent or null."""
        if not isinstance(self.value, dict):
            raise self._wanted("a mapping")
        if self.value.get(key) is None:
            return None
        found = self._child(self.value[key], f"{self.path}.{key}" if self.path else key)
        return None if found.value is None else found

    def at(self, key: str) -> Node:
        """Return the node of a mapping's key, which must not be absent or null."""
        found = self.get(key)
        if found is None:
            raise self.error(f"missing key {key}")
        return found

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, Node]:
        """Return a mapping's nodes; unknown keys, or ``required`` ones absent, raise YamlError."""
        given = self.mapping()
        for key, node in given.items():
            if key not in known:
                raise node.error(f"unknown key {quoted(key)}; {nearest(key, known)}")
        missing = [key for key in required if key not in given]
        if missing:
            raise self.error(f"missing key {', '.join(missing)}")
        return dict(given)

    def items(self) -> tuple[Node, ...]:
        """Return the entries of a list."""
        if isinstance(self.value, tuple):
            return self.value
        if not isinstance(self.value, list):
            raise self._wanted("a list")
        return tuple(self._child(v, f"{self.path}[{i}]") for i, v in enumerate(self.value))

    def plain(self) -> Any:
        """Return the value in plain lists, dictionaries and scalars."""
        if self.line is None:
            return self.value
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, tuple):
            return [node.plain() for node in self.value]
        return self.value

    # Scalars ---------------------------------------------------------------------------------

    def string(self) -> str:
        if not isinstance(self.value, str):
            raise self._wanted("text")
        return self.value

    def boolean(self) -> bool:
        """Return true or false; the integers 1 and 0 are accepted for them."""
        if not isinstance(self.value, int) or self.value not in (0, 1):
            raise self._wanted("true or false")
        return bool(self.value)

    def integer(self, low: int | None = None, high: int | None = None) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self._wanted("an integer")
        self._range(self.value, low, high)
        return self.value

    def number(self, low: float | None = None, high: float | None = None) -> float:
        """Return a finite number; ``1e-3`` is accepted, though YAML 1.1 reads it as text."""
        value = self.value
        if isinstance(value, str) and self.line is not None:
            try:
                value = float(value)
            except ValueError:
                raise self._wanted("a number") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wanted("a number")
        if not math.isfinite(value):
            raise self._wanted("a finite number")
        self._range(value, low, high)
        return float(value)

    def choice(self, options: Collection[str]) -> str:
        value = self.string()
        if value not in options:
            raise self.error(f"{quoted(value)} is not known; {nearest(value, options)}")
        return value

    def is_null(self) -> bool:
        return self.value is None

    def _range(self, value: float, low: float | None, high: float | None) -> None:
        if (low is not None and value < low) or (high is not None and value > high):
            allowed = f"{'' if low is None else low}..{'' if high is None else high}"
            raise self.error(f"must be {allowed}, not {value}")


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint for an unknown word: the closest known one, if any, and all of them, sorted.

    Of more than NAMES_SHOWN known ones it is their number alone.
    """
    if len(known) > NAMES_SHOWN:
        return f"{len(known)} are known"
    close = difflib.get_close_matches(word[:SHOWN], known, n=1)
    hint = f"did you mean {quoted(close[0])}? " if close else ""
    return f"{hint}(known: {', '.join(map(escaped, sorted(known)))})"


# Building dataclasses ------------------------------------------------------------------------


def build(node: Node, kind: type[T], **given: Any) -> T:
    """Build a dataclass ``kind`` from the mapping ``node``, its fields by their type hints.

    Supported are int, float, str, bool, ``X | None``, ``X | Y`` (the first that the value fits),
    tuple[X, ...], tuple[int, int], dict[str, X], classes with a static ``parse`` of a scalar, and
    nested dataclasses. ``given`` fields are set by the caller and are no YAML keys. Raises
    YamlError, also in place of a ValueError of the constructor (``construct``), and TypeError as
    ``convert`` does.
    """
    hints = typing.get_type_hints(kind)
    wanted = [f for f in dataclasses.fields(kind) if f.init and f.name not in given]  # type: ignore[arg-type]
    required = [
        f.name
        for f in wanted
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    nodes = node.fields([f.name for f in wanted], required)
    values = {name: convert(child, hints[name]) for name, child in nodes.items()}
    return construct(node, nodes, lambda: kind(**given, **values))


def construct(node: Node, nodes: Mapping[str, Node], make: Callable[[], T]) -> T:
    """Return ``make()``; its ValueError becomes a YamlError at the key it names, or at ``node``."""
    try:
        return make()
    except YamlError:
        raise
    except ValueError as error:
        words = str(error).replace(".", " ").split()
        guilty = next((nodes[word] for word in words if word in nodes), node)
        raise YamlError(f"{guilty.where}: {error}") from None


def convert(node: Node, hint: Any) -> Any:
    """Return the value of ``node`` as type ``hint``; ``build`` lists the supported types.

    Raises YamlError for a value of another type, TypeError for an unsupported ``hint``.
    """
    scalars: dict[Any, Callable[[], Any]] = {
        int: node.integer,
        float: node.number,
        str: node.string,
        bool: node.boolean,
    }
    if hint in scalars:
        return scalars[hint]()
    arguments: Sequence[Any] = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if node.is_null() and type(None) in arguments:
            return None
        return _first_fit(node, [kind for kind in arguments if kind is not type(None)])
    if typing.get_origin(hint) is dict:
        return {key: convert(child, arguments[1]) for key, child in node.mapping().items()}
    if typing.get_origin(hint) is tuple:
        items = node.items()
        if arguments[-1] is not Ellipsis and len(items) != len(arguments):
            raise node.error(f"must be a list of {len(arguments)}, not of {len(items)}")
        return tuple(convert(item, arguments[0]) for item in items)
    if hasattr(hint, "parse"):  # a class whose values are written as text
        try:
            return hint.parse(node.value)
        except ValueError as error:
            raise node.error(str(error)) from None
    if dataclasses.is_dataclass(hint):
        return build(node, typing.cast(type[Any], hint))
    raise TypeError(f"no rule for {hint!r}")


def _first_fit(node: Node, hints: Sequence[Any]) -> Any:
    """Return the value of ``node`` as the first of ``hints`` that it fits.

    Where some of them are lists as deep as the value is, the others are not asked. Raises the
    YamlError of the first one where it fits none.
    """
    hints = [hint for hint in hints if _hint_depth(hint) == _depth(node)] or hints
    for hint in hints if len(hints) > 1 else ():
        try:
            return convert(node, hint)
        except YamlError:
            continue
    return convert(node, hints[0])


def _depth(node: Node) -> int:
    """Return 0 for no list, 1 for a list, 2 for a list whose first entry is one."""
    if not isinstance(node.value, tuple | list):
        return 0
    return 1 + max((min(_depth(item), 1) for item in node.items()[:1]), default=0)


def _hint_depth(hint: Any) -> int:
    if typing.get_origin(hint) is not tuple:
        return 0
    return 1 + _hint_depth(typing.get_args(hint)[0])
