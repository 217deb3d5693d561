"""Reader of ONNX files: float, QDQ, QOperator and QONNX; see ``onnx_operators`` for the nodes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.files.reading import FileError, opened, printable, quoted, size
from models.files.writing import inside
from models.importing.readers import onnx_operators
from models.importing.readers.foreign import (
    DAMAGE,
    MOST_NODES,
    ForeignGraph,
    Memory,
    check_shape,
)
from models.importing.readers.onnx_reading import TYPES, Reading

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 7
"""Oldest version of ONNX's operators that is read."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", *onnx_operators.QONNX_DOMAINS)
"""Domains whose operators may occur."""


def read(data: bytes, name: str, path: Path) -> ForeignGraph:
    """Return the graph of a file's bytes. Raises ModelError, FileError.

    name: for the network; path: the file, beside which external data lies.
    """
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise FileError(f"{path}: is not an ONNX file ({printable(error)})") from None
    if not model.graph.node:
        raise FileError(f"{path}: is not an ONNX file: it has no nodes")
    _check_opsets(model)
    try:
        return _Reader(model, name, path).graph()
    except (ModelError, FileError):
        raise
    except DAMAGE as error:
        raise FileError(f"{path}: is a damaged ONNX file ({printable(error)})") from None


def _check_opsets(model: onnx.ModelProto) -> None:
    """Raise ModelError for versions of operators that are not known."""
    from onnx import defs

    newest = defs.onnx_opset_version()
    versions = {entry.domain: entry.version for entry in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if not OLDEST_OPSET <= version <= newest:
        raise ModelError(
            f"the file is of ONNX opset {version}; {OLDEST_OPSET} to {newest} are read: convert it "
            "with onnx.version_converter"
        )
    strange = [domain for domain in versions if domain not in DOMAINS]
    used = {node.domain for node in model.graph.node}
    if any(domain in used for domain in strange):
        domain = next(domain for domain in strange if domain in used)
        raise ModelError(
            f"operators of domain {quoted(domain)} are not known (known: ONNX's own, "
            f"com.microsoft's quantised ones, {', '.join(onnx_operators.QONNX_DOMAINS)})"
        )


class _Reader:
    def __init__(self, model: onnx.ModelProto, name: str, path: Path) -> None:
        self.model, self.name, self.path = model, name, path
        self.memory = Memory()
        if len(model.graph.node) > MOST_NODES or len(model.graph.initializer) > MOST_NODES:
            raise ModelError(f"the file has more than {MOST_NODES} nodes or constants")

    def graph(self) -> ForeignGraph:
        graph = self.model.graph
        if graph.sparse_initializer:
            raise ModelError("sparse constants are not read; store them dense")
        reading = Reading()
        for item in graph.initializer:
            reading.store(item.name, self._array(item))
        inputs = {}
        for item in graph.input:
            if item.name not in reading.constants:
                inputs[item.name] = self._shape(item)
                reading.types[item.name] = _kind(item)
        for position, node in enumerate(graph.node):
            onnx_operators.read_node(reading, node, position, self._attributes(node))
        outputs = tuple(item.name for item in graph.output)
        return ForeignGraph(
            self.name, "onnx", inputs, outputs, reading.nodes, reading.constants, self.memory
        )

    def _shape(self, item: onnx.ValueInfoProto) -> tuple[int, ...]:
        """Return an input's shape, with a batch of 1 where its size is open."""
        kind = item.type.tensor_type
        if not item.type.HasField("tensor_type") or not kind.HasField("shape"):
            raise ModelError(f"input {quoted(item.name)} has no shape of a tensor")
        sides = [side.dim_value for side in kind.shape.dim]
        if sides and not kind.shape.dim[0].HasField("dim_value"):
            sides[0] = 1
        return check_shape(sides, item.name)

    def _attributes(self, node: onnx.NodeProto) -> dict[str, Any]:
        """Return a node's attributes as plain values; tensors as arrays."""
        from onnx import AttributeProto, helper

        found: dict[str, Any] = {}
        for item in node.attribute:
            if item.type == AttributeProto.TENSOR:
                found[item.name] = self._array(item.t)
            elif item.type == AttributeProto.STRINGS:
                found[item.name] = [one.decode(errors="replace") for one in item.strings]
            elif item.type in (AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.STRING,
                               AttributeProto.INTS, AttributeProto.FLOATS):  # fmt: skip
                value = helper.get_attribute_value(item)
                is_text = isinstance(value, bytes)
                found[item.name] = value.decode(errors="replace") if is_text else value
        return found

    # Constants -------------------------------------------------------------------------------

    def _array(self, item: onnx.TensorProto) -> NDArray[Any]:
        """Return a constant's values. Raises ModelError, FileError."""
        from onnx import TensorProto, helper, numpy_helper

        name = item.name
        try:
            kind = np.dtype(helper.tensor_dtype_to_np_dtype(item.data_type))
        except KeyError:
            raise ModelError(f"constant {quoted(name)} is of type {item.data_type}") from None
        if item.data_type not in TYPES:
            raise ModelError(f"constant {quoted(name)} is of type {kind}; numbers alone are read")
        shape = tuple(item.dims)
        check_shape([max(side, 1) for side in shape], name)
        if min(shape, default=0) < 0:
            raise ModelError(f"constant {quoted(name)} has shape {shape}")
        need = math.prod(shape)
        self.memory.take(name, need)
        if item.data_location == TensorProto.EXTERNAL:
            return np.frombuffer(self._external(item, need * kind.itemsize), kind).reshape(shape)
        try:
            return numpy_helper.to_array(item)
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"constant {quoted(name)} of shape {shape} does not hold its {need} values "
                f"({printable(error)})"
            ) from None

    def _external(self, item: onnx.TensorProto, need: int) -> bytes:
        """Return the bytes of a constant that lies in a file beside the model."""
        given = {entry.key: entry.value for entry in item.external_data}
        where = f"constant {quoted(item.name)}"
        try:
            offset, length = int(given.get("offset", 0)), int(given.get("length", need))
        except ValueError:
            raise ModelError(f"{where}: its place in an external file is no number") from None
        place = inside(self.path.parent, given.get("location", ""))
        if length != need or offset < 0:
            raise ModelError(f"{where}: {length} bytes at {offset} of {place}, not {need}")
        with opened(place) as file:
            if offset + need > size(file):
                raise FileError(f"{place}: ends before {where} ({need} bytes at {offset})")
            file.seek(offset)
            return file.read(need)


def _kind(item: onnx.ValueInfoProto) -> str:
    """Return the name of an input's type. Raises ModelError."""
    from onnx import TensorProto, helper

    kind = item.type.tensor_type.elem_type
    if kind not in TYPES:
        known = kind in TensorProto.DataType.values()
        said = TensorProto.DataType.Name(kind) if known else f"{kind}"
        raise ModelError(f"input {quoted(item.name)} is of type {said}; numbers alone are read")
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind)).name
