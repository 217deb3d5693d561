"""Files as trees of plain values, which are damaged value by value."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from onnx import ModelProto


def _onnx(data: bytes) -> list[Any]:
    model = ModelProto()
    model.ParseFromString(data)
    return [json_format.MessageToDict(model)]


def _onnx_bytes(trees: list[Any]) -> bytes:
    """Return the bytes of a model; as JSON, which no ONNX file is, where a value has no bytes."""
    try:
        return bytes(json_format.ParseDict(trees[0], ModelProto()).SerializeToString())
    except (json_format.ParseError, AttributeError, TypeError, ValueError):
        return json.dumps(trees).encode()


FORMS: dict[str, tuple[Callable[[bytes], list[Any]], Callable[[list[Any]], bytes]]] = {
    ".json": (lambda data: [json.loads(data)], lambda trees: json.dumps(trees[0]).encode()),
    ".journal": (
        lambda data: [json.loads(line) for line in data.splitlines()],
        lambda trees: b"".join(json.dumps(tree).encode() + b"\n" for tree in trees),
    ),
    ".onnx": (_onnx, _onnx_bytes),
}
"""End of a file's name -> its trees, and the bytes of trees."""
