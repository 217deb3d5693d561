"""Strict YAML: every value knows its file and line; unknown or duplicate keys are errors.

``load`` returns a tree of Nodes. Readers take values out of it through typed methods (``integer``,
``choice``, ``fields``, ...), which raise YamlError with ``file:line`` for a value of the wrong type
or range. ``build`` makes a dataclass from a mapping by its type hints.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from models.errors import YamlError

Scalar = str | int | float | bool | None
T = TypeVar("T")

_SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}


@dataclass(frozen=True)
class Node:
    """One YAML value (scalar, list, mapping) with its file and line (from 1; its key's, if any).

    >>> lanes = load("{lanes: 8}", "npu.yaml").fields(["lanes"])["lanes"]
    >>> lanes.integer(low=1), lanes.error("is too large")
    (8, YamlError('npu.yaml:1: lanes: is too large'))
    """

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    file: str
    line: int
    path: str
    """Position in the document, such as ``npu.lanes`` or ``layers[2].kernel``."""

    def error(self, message: str) -> YamlError:
        """Return a YamlError ``file:line: path: message``, which the caller raises."""
        where = f"{self.path}: " if self.path else ""
        return YamlError(f"{self.file}:{self.line}: {where}{message}")

    def _wanted(self, what: str) -> YamlError:
        kinds: dict[type, str] = {dict: "a mapping", tuple: "a list"}
        shown = kinds.get(type(self.value), repr(self.value))
        return self.error(f"must be {what}, not {shown}")

    # Collections -----------------------------------------------------------------------------

    def mapping(self) -> Mapping[str, Node]:
        """Return the nodes of a mapping by key; any key is allowed."""
        if not isinstance(self.value, dict):
            raise self._wanted("a mapping")
        return self.value

    def fields(self, known: Collection[str], required: Collection[str] = ()) -> dict[str, Node]:
        """Return a mapping's nodes; unknown keys, or ``required`` ones absent, raise YamlError."""
        given = self.mapping()
        for key, node in given.items():
            if key not in known:
                raise node.error(f"unknown key {key!r}; {nearest(key, known)}")
        missing = [key for key in required if key not in given]
        if missing:
            raise self.error(f"missing key {', '.join(missing)}")
        return dict(given)

    def items(self) -> tuple[Node, ...]:
        """Return the entries of a list."""
        if not isinstance(self.value, tuple):
            raise self._wanted("a list")
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
        if isinstance(value, str):
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
            raise self.error(f"{value!r} is not known; {nearest(value, options)}")
        return value

    def is_null(self) -> bool:
        return self.value is None

    def _range(self, value: float, low: float | None, high: float | None) -> None:
        if (low is not None and value < low) or (high is not None and value > high):
            allowed = f"{'' if low is None else low}..{'' if high is None else high}"
            raise self.error(f"must be {allowed}, not {value}")


def nearest(word: str, known: Collection[str]) -> str:
    """Return a hint for an unknown word: the closest known one, if any, and all of them, sorted."""
    close = difflib.get_close_matches(word, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}(known: {', '.join(sorted(known))})"


# Loading -------------------------------------------------------------------------------------


def load(source: Path | str, name: str = "<text>") -> Node:
    """Parse a YAML document into a tree of Nodes.

    source: a Path is read; text is parsed, ``name`` standing for the file in messages. Raises
    YamlError: unreadable, not UTF-8, empty, bad syntax, a key twice or not a scalar, an alias loop.
    """
    if isinstance(source, Path):
        name = str(source)
        try:
            source = source.read_text(encoding="utf-8")
        except OSError as error:
            raise YamlError(f"{name}: cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise YamlError(f"{name}: is not UTF-8 text") from None
    try:
        loader = yaml.SafeLoader(source)
    except yaml.YAMLError as error:  # a character that YAML forbids
        raise YamlError(f"{name}: {str(error).splitlines()[0]}") from None
    try:
        root = loader.get_single_node()
        if root is None:
            raise YamlError(f"{name}: is empty")
        return _convert(loader, root, name, "", frozenset())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise YamlError(f"{name}:{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlError(f"{name}: {error}") from None
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


def _convert(
    loader: yaml.SafeLoader, node: yaml.Node, file: str, path: str, above: frozenset[int]
) -> Node:
    """Convert a PyYAML node; ``above``: ids of enclosing nodes, an alias to one is a YamlError."""
    line = node.start_mark.line + 1
    if id(node) in above:
        raise YamlError(f"{file}:{line}: {path}: an alias contains itself")
    above |= {id(node)}
    if isinstance(node, yaml.ScalarNode):
        known = node.tag in _SCALAR_TAGS
        value: Scalar = loader.construct_object(node) if known else node.value  # type: ignore[no-untyped-call]
        return Node(value, file, line, path)
    if isinstance(node, yaml.SequenceNode):
        items = (
            _convert(loader, child, file, f"{path}[{index}]", above)
            for index, child in enumerate(node.value)
        )
        return Node(tuple(items), file, line, path)
    mapping: dict[str, Node] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlError(f"{file}:{key_line}: {path}: keys must be text")
        key = key_node.value
        if key in mapping:
            first = mapping[key].line
            raise YamlError(f"{file}:{key_line}: key {key!r} is given twice (first: line {first})")
        below = f"{path}.{key}" if path else key
        child = _convert(loader, value_node, file, below, above)
        mapping[key] = dataclasses.replace(child, line=key_line)
    return Node(mapping, file, line, path)


# Building dataclasses ------------------------------------------------------------------------


def build(node: Node, kind: type[T], **given: Any) -> T:
    """Build a dataclass ``kind`` from the mapping ``node``, its fields by their type hints.

    Supported are int, float, str, bool, ``X | None``, tuple[int, ...], tuple[int, int], tuple[str,
    ...], classes with a static ``parse`` of a scalar, and nested dataclasses. ``given`` fields are
    set by the caller and are no YAML keys. Raises YamlError, also in place of a ValueError of the
    constructor (``construct``), and TypeError as ``convert`` does.
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
        raise YamlError(f"{guilty.file}:{guilty.line}: {error}") from None


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
        if node.is_null():
            return None
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return convert(node, inner)
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


# Writing -------------------------------------------------------------------------------------


class FlowDict(dict[str, Any]):
    r"""Mapping that ``dump`` writes in flow style: ``{key: value}``, on one line if it fits.

    >>> dump({"conv1": FlowDict(weight_bits=4)})
    'conv1: {weight_bits: 4}\n'
    """


class _Dumper(yaml.SafeDumper):
    pass


def _flow_mapping(dumper: yaml.SafeDumper, data: FlowDict) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)


_Dumper.add_representer(FlowDict, _flow_mapping)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign, assignment]


def dump(data: Any) -> str:
    """Return YAML text, keys in order; FlowDicts and collections of scalars are in flow style."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)
    return text
