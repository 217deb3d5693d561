"""Strict YAML: bounded, every value knows its line; unknown or duplicate keys are errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

from models.errors import YamlError
from models.files import reading
from models.files.nodes import Node, Scalar
from models.files.reading import MAX_DEPTH, MAX_DIGITS, escaped, printable, quoted, told_as

MAX_BYTES = 1 << 20
"""Size of the largest YAML file."""
MAX_NODES = 50_000
"""Most keys and values of a file, those that aliases repeat counted each time."""
MAX_SCALAR = 100
"""Most characters of a number."""
MAX_TEXT = 1000
"""Most characters of a key or any other value, so that a message may name it."""
_TOO_LARGE = 10**MAX_DIGITS
_SCALAR_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null")}


class _Loader(yaml.SafeLoader):
    """Composes a document of up to MAX_NODES nodes, nested up to MAX_DEPTH deep."""

    nodes = depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.nodes, self.depth = self.nodes + 1, self.depth + 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=_excess(self.depth), problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _excess(depth: int) -> str:
    if depth > MAX_DEPTH:
        return f"is nested deeper than {MAX_DEPTH} levels"
    return f"holds more than {MAX_NODES} keys and values, with those that aliases repeat"


def load(source: Path | str, name: str = "<text>") -> Node:
    """Parse a YAML document of up to MAX_BYTES into a tree of Nodes.

    source: a Path is read; text is parsed, ``name`` standing for the file in messages. Raises
    YamlError: unreadable, not UTF-8, too large, more than MAX_NODES, nested too deep, empty, bad
    syntax, a key twice or not a scalar, an alias loop, a value that is not of its tag, an integer
    of more than MAX_DIGITS digits, a number of more than MAX_SCALAR characters, a longer text or
    key than MAX_TEXT.
    """
    if isinstance(source, Path):
        name = str(source)
        with told_as(YamlError):
            source = reading.read_text(source, MAX_BYTES)
    name = escaped(name)
    if len(source) > MAX_BYTES:
        raise YamlError(f"{name}: is larger than the {reading.size_text(MAX_BYTES)} allowed")
    try:
        loader = _Loader(source)
    except yaml.YAMLError as error:  # a character that YAML forbids
        raise YamlError(f"{name}: {escaped(str(error).splitlines()[0])}") from None
    try:
        root = loader.get_single_node()
        if root is None:
            raise YamlError(f"{name}: is empty")
        return _Conversion(loader, name).convert(root, "", frozenset())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        problem = printable(error.problem or error.context, 4 * reading.SHOWN)
        raise YamlError(f"{name}:{line}: {problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"{name}: {printable(error)}") from None
    finally:
        loader.dispose()  # type: ignore[no-untyped-call]


class _Conversion:
    """Converts PyYAML's nodes to ours, counting those that aliases repeat."""

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self.loader, self.file, self.nodes = loader, file, 0

    def convert(self, node: yaml.Node, path: str, above: frozenset[int]) -> Node:
        """Convert a node; ``above`` holds ids of enclosing nodes, to detect alias loops."""
        line = node.start_mark.line + 1
        self.nodes += 1
        if id(node) in above:
            raise self._error(line, path, "an alias contains itself")
        if self.nodes > MAX_NODES or len(above) >= MAX_DEPTH:
            raise self._error(line, path, _excess(len(above) + 1))
        above |= {id(node)}
        if isinstance(node, yaml.ScalarNode):
            return Node(self._scalar(node, line, path), self.file, line, path)
        if isinstance(node, yaml.SequenceNode):
            items = (
                self.convert(child, f"{path}[{index}]", above)
                for index, child in enumerate(node.value)
            )
            return Node(tuple(items), self.file, line, path)
        return Node(self._mapping(node, path, above), self.file, line, path)

    def _error(self, line: int, path: str, message: str) -> YamlError:
        return Node(None, self.file, line, printable(path)).error(message)

    def _scalar(self, node: yaml.ScalarNode, line: int, path: str) -> Scalar:
        if len(node.value) > MAX_TEXT:
            what = f"{printable(node.value)} has more than {MAX_TEXT:,} characters"
            raise self._error(line, path, what)
        if node.tag not in _SCALAR_TAGS:
            return str(node.value)
        value: Scalar = None
        if len(node.value) <= MAX_SCALAR:
            try:
                value = self.loader.construct_object(node)  # type: ignore[no-untyped-call]
            except (ValueError, LookupError, OverflowError):
                kind = node.tag.rpartition(":")[2]
                raise self._error(line, path, f"{quoted(node.value)} is no {kind}") from None
        if len(node.value) > MAX_SCALAR or (isinstance(value, int) and abs(value) >= _TOO_LARGE):
            what = f"{printable(node.value)} has more than {MAX_DIGITS} digits"
            raise self._error(line, path, what)
        return value

    def _mapping(self, node: yaml.Node, path: str, above: frozenset[int]) -> dict[str, Node]:
        mapping: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_line, path, "keys must be text")
            key = key_node.value
            if len(key) > MAX_TEXT:
                raise self._error(key_line, path, f"key {quoted(key)} is too long")
            if key in mapping:
                first = mapping[key].line
                raise YamlError(
                    f"{self.file}:{key_line}: key {quoted(key)} is given twice "
                    f"(first: line {first})"
                )
            below = f"{path}.{key}" if path else key
            child = self.convert(value_node, below, above)
            mapping[key] = dataclasses.replace(child, line=key_line)
        return mapping


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
    """Return YAML text of plain data; FlowDicts and collections of scalars are in flow style."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=100)
    return text
