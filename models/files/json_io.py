"""JSON files as typed trees of Nodes, and JSON written atomically."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import YamlError
from models.files import reading
from models.files.nodes import Node
from models.files.reading import escaped, told_as
from models.files.writing import atomic_file


def load(path: Path, limit: int = reading.TEXT_BYTES) -> Node:
    """Return the tree of a JSON file of up to ``limit`` bytes.

    Raises YamlError naming the file: missing or unreadable, or refused by ``reading.parse_json``.
    """
    with told_as(YamlError):
        return Node(reading.read_json(path, limit), escaped(str(path)), None, "")


def loads(text: str, name: str = "<text>") -> Node:
    """Return the tree of a JSON text, called ``name`` in messages. Raises YamlError.

    >>> loads('{"lanes": 8}').fields(["lanes"])["lanes"].integer(low=1)
    8
    """
    with told_as(YamlError):
        return Node(reading.parse_json(text, name), escaped(name), None, "")


def text(content: Any) -> str:
    """Return the text of a JSON file."""
    return f"{json.dumps(content, indent=1)}\n"


def write(path: Path, content: Any) -> None:
    """Write a JSON file atomically. Raises OSError."""
    with atomic_file(path) as file:
        file.write(text(content).encode())
