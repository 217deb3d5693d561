"""The one entry point: recognises a file, reads it, and maps it to a network of ours."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from models.data.values import InputRange
from models.errors import ModelError
from models.files.reading import FileError, escaped, max_memory, quoted, read_bytes
from models.importing import operators
from models.importing import outputs as joining
from models.importing.ends import InputEnd, OutputEnd, input_end, joined_order, output_ends
from models.importing.floating import FloatNetwork, float_network
from models.importing.integers import integer_network
from models.importing.joining import NAME
from models.importing.mapping import host, kernels, moves, rounding
from models.importing.mapping.walk import INPUT, Walk, walk
from models.importing.readers import onnx_file
from models.importing.readers.foreign import ForeignGraph, in_order
from models.importing.readers.table import RefusalError, Row, Table
from models.importing.readers.tflite import file as tflite_file
from models.integer.network import IntegerNetwork

_STRANGERS = (
    (b"\x89HDF", "is a Keras HDF5 file; convert it to TFLite or ONNX"),
    (
        b"PK\x03\x04",
        "is a zip; torch's .pt2, .pt and .pth hold pickles, which could run code: load it in "
        "Python and call models.importing.programs.import_program or import_module; convert a "
        "Keras file to TFLite",
    ),
    (b"\x80", "is a Python pickle, which could run code; export the network to ONNX"),
)
"""First bytes of files of other kinds -> what to do with them."""


@dataclass(frozen=True, eq=False)
class Source:
    """The file that a network was imported from. Made by ``read``."""

    file: str
    format: str
    """onnx, tflite or torch."""
    sha256: str


@dataclass(frozen=True, eq=False)
class Imported:
    """An imported network: the integer network of a quantised file, else a float network.

    Made by ``read``; both are None where something is refused.
    """

    name: str
    source: Source
    table: Table
    integer: IntegerNetwork | None
    floating: FloatNetwork | None
    input: InputEnd | None
    outputs: tuple[OutputEnd, ...] = ()
    """Ends of the file's outputs, in its order."""
    pixels: InputRange | None = None
    """The values of the file's input that pixels 0 and 255 of pictures are; None: not said."""

    @property
    def output(self) -> OutputEnd | None:
        """The only output's end; None of several."""
        return self.outputs[0] if len(self.outputs) == 1 else None


def read(
    path: Path, input_range: tuple[float, float] | None = None, *, partition: bool = False
) -> Imported:
    """Read a file and map its network.

    input_range: smallest and largest value of the input, for a quantised network that does not
    round it. What cannot be mapped stands in the result's table, all of it. partition: of a network
    with refused nodes import the longest part before them that ends with one tensor; the rest is
    the host's in the table. Raises FileError and ModelError for a file or a network that cannot be
    read at all.
    """
    limit = max_memory()
    data = read_bytes(path, limit)
    where = escaped(str(path))
    name = network_name(path)
    graph = _graph(data, name, path, where)
    source = Source(path.name, graph.format, hashlib.sha256(data).hexdigest())
    return from_graph(graph, source, input_range, partition=partition)


def from_graph(
    graph: ForeignGraph,
    source: Source,
    input_range: tuple[float, float] | None = None,
    *,
    partition: bool = False,
) -> Imported:
    """Map a graph that a reader made; parameters and errors are those of ``read``."""
    try:
        found = _mapped(graph, source, input_range)
    except ModelError:
        if not partition:
            raise
        return _part(graph, source, input_range)
    return _part(graph, source, input_range) if partition and found.table.refused else found


def _mapped(
    graph: ForeignGraph, source: Source, input_range: tuple[float, float] | None
) -> Imported:
    name, table = graph.name, Table()
    # What is counted of one way to cut a network is not the next one's.
    graph = dataclasses.replace(graph, memory=dataclasses.replace(graph.memory))
    ends = [(tail.output, tail.tensor) for tail in host.tails(graph)]
    rest = host.without_host(graph, table)
    found = walk(rest, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    if table.refused:
        return Imported(name, source, table, None, None, None)
    if all(_is_input(found, tensor) for tensor in rest.outputs):
        raise ModelError(
            f"{source.file}: the network computes nothing of its input: what moves, scales or "
            "shifts it is the host's, and no layer is left"
        )
    return _finished(name, source, found, ends, input_range)


def _is_input(found: Walk, tensor: str) -> bool:
    value = found.values.get(tensor)
    return value is None or value.stage == INPUT


MOST_CUTS = 64
"""Most places that ``partition`` tries to cut a network at."""


def _part(graph: ForeignGraph, source: Source, input_range: tuple[float, float] | None) -> Imported:
    """Import the longest part of a network that can be mapped. Raises ModelError if there is none.

    All that is behind it is the host's in the table, with the reason where it was refused.
    """
    table, counted = Table(), dataclasses.replace(graph.memory)
    whole = dataclasses.replace(graph, memory=counted)
    found = walk(whole, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    mapped = (name for name in host.cuts(graph, found.constants) if name in found.values)
    reason = ""
    for name in itertools.islice(mapped, MOST_CUTS):
        part = dataclasses.replace(graph, outputs=(name,))
        try:
            made = _mapped(part, source, input_range)
        except ModelError as error:
            reason = reason or f"; the part up to {quoted(name)} is no network of its own: {error}"
            continue
        if not made.table.refused:
            inside = {id(node) for node in in_order(part)}
            why = {(row.name, row.operator): row.reason for row in table.refused}
            made.table.rows += [
                Row(node.name, node.operator, "host", "",
                    why.get((node.name, node.operator), f"behind the cut at {name}"))
                for node in in_order(graph)
                if id(node) not in inside and node.operator
            ]  # fmt: skip
            return made
    raise ModelError(
        f"{source.file}: no part of the network from its input to one tensor can be imported"
        f"{reason}"
    )


def _finished(
    name: str,
    source: Source,
    found: Walk,
    outputs: list[tuple[str, str]],
    input_range: tuple[float, float] | None,
) -> Imported:
    """Return the network of a walk without refusals.

    outputs: names in the file, and of the tensors that the NPU gives for them.
    """
    table, tensors = found.table, list(found.graph.outputs)
    is_quantised = any(stage.grid for stage in found.stages.values())
    integer, floating = None, None
    found.index(found.values[next(iter(found.graph.inputs))])
    if is_quantised and found.stages[INPUT].grid is None:
        rounding.round_input(found, input_range)
    grids = {
        tensor: found.stages[found.values[tensor].stage].grid
        for tensor in tensors if tensor in found.values
    }  # fmt: skip
    try:
        last = joining.join(found, tensors, quantised=is_quantised)
    except RefusalError as error:
        table.refuse_layer(NAME, "several outputs", error)
        return Imported(name, source, table, None, None, None)
    if is_quantised:
        integer = integer_network(name, found.stages, last, table)
    else:
        floating = float_network(name, found.stages, last, table)
    if table.refused:
        return Imported(name, source, table, None, None, None)
    ends = output_ends(found, outputs, grids)
    if integer is not None:
        parts = tuple(end.part for end in ends) if len(ends) > 1 else ()
        integer = dataclasses.replace(integer, order=joined_order(ends), parts=parts)
        ends = tuple(dataclasses.replace(end, order=None) for end in ends)
    return Imported(name, source, table, integer, floating, input_end(found), ends)


def _graph(data: bytes, name: str, path: Path, where: str) -> ForeignGraph:
    """Return the graph of a file of any known kind. Raises FileError, ModelError."""
    if data[4:8] == tflite_file.IDENTIFIER:
        _needs("tflite")
        return tflite_file.read(data, name, where)
    for start, hint in _STRANGERS:
        if data.startswith(start):
            raise FileError(f"{where}: {hint}")
    _needs("onnx")
    return onnx_file.read(data, name, path)


def _needs(package: str) -> ModuleType:
    """Return a reader's package. Raises ModelError if it is not installed."""
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError:
        raise ModelError(
            f"reading this file needs the package {package}: pip install 'codesign[import]'"
        ) from None


def network_name(path: Path) -> str:
    """Return a name of letters, digits, '_' and '-' for the network of a file.

    >>> network_name(Path("models/ResNet 8 (int8).tflite"))
    'ResNet_8_int8'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in path.stem)
    name = "_".join(part for part in kept.split("_") if part)[:56]
    return name if name[:1].isalpha() else f"network_{name}".rstrip("_")


def summary(found: Imported) -> dict[str, Any]:
    """Return layers, and what was mapped, folded, left to the host, refused, as plain data."""
    return {
        "network": found.name,
        "kind": "integer" if found.integer else "float" if found.floating else None,
        "layers": layers(found),
        "outputs": _outputs(found),
        **found.table.to_dict(),
    }


def _outputs(found: Imported) -> list[dict[str, Any]]:
    """Return what is known of each output of the file, in its order.

    tensor: what the NPU gives, of ``shape``; the host does the rest.
    """
    return [
        {
            "name": end.part.name,
            "tensor": end.name,
            "shape": list(end.file_shape),
        }
        for end in found.outputs
    ]


def layers(found: Imported) -> list[dict[str, Any]]:
    """Return name, operator, output shape and weight bits of each layer of an imported network."""
    if found.integer:
        network = found.integer
        return [
            {
                "name": layer.name,
                "op": getattr(layer, "op", "concat"),
                "output": list(network.tensors[layer.output].shape),
                "weight_bits": getattr(layer, "weight_bits", None),
                "activation_bits": network.tensors[layer.output].bits,
            }
            for layer in network.layers
        ]
    if found.floating:
        graph = found.floating.graph
        return [
            {"name": item.name, "op": item.spec.op, "output": list(graph.shapes[item.name])}
            for item in graph.layers
        ]
    return []
