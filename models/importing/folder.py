"""Network folders: an imported network on disk, without pickles (docs/how-to/import.md).

``network.json`` says what the network is, from which file, what became of each of its nodes, and
what a host does at its ends; it lists the other files by their hashes. Beside it lies
``integer.npz`` of a quantised network, or ``graph.yaml`` and ``weights.npz`` of a float one;
``order.npz`` where the ends lie otherwise than in the file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.data.values import InputRange
from models.errors import ModelError
from models.files import arrays, folders, json_io, yaml_io
from models.files.folders import Earlier
from models.files.nodes import Node, build
from models.files.reading import FileError, escaped, max_memory, quoted, read_bytes
from models.files.writing import npz_bytes
from models.graph.yaml import graph_items, read_graph
from models.importing import stored_ends
from models.importing.ends import InputEnd, OutputEnd, joined_order
from models.importing.floating import FloatNetwork
from models.importing.imports import Imported, Source
from models.importing.readers.table import RefusedRow, Row, Table
from models.integer import files as integer_files
from models.integer.network import IntegerNetwork

FORMAT = 1
NETWORK, INTEGER, GRAPH = "network.json", "integer.npz", "graph.yaml"
WEIGHTS, ORDER = "weights.npz", "order.npz"
_LISTED = (INTEGER, GRAPH, WEIGHTS, ORDER)
"""Files whose hashes ``network.json`` lists."""


@dataclasses.dataclass(frozen=True, eq=False)
class NetworkFolder:
    """Content of a network folder: an integer or a float network, and its ends.

    Made by ``load``; one of ``integer`` and ``floating`` is None.
    """

    name: str
    source: Source
    input: InputEnd
    outputs: tuple[OutputEnd, ...]
    integer: IntegerNetwork | None
    floating: FloatNetwork | None
    pixels: InputRange | None = None
    """The values of the file's input that pixels 0 and 255 of pictures are; None: not said."""

    @property
    def output(self) -> OutputEnd:
        """The only output's end. Raises ModelError for a network of several."""
        if len(self.outputs) != 1:
            names = ", ".join(quoted(end.part.name) for end in self.outputs)
            raise ModelError(f"network {self.name} has several outputs: {names}")
        return self.outputs[0]


def save(found: Imported, folder: Path) -> dict[str, str]:
    """Write a network folder, all of it or nothing; files of other names stay.

    Of an older import what ``network.json`` lists and is as it was written is replaced; what was
    changed since is kept under another name. Returns the latter: name before -> name now. Raises
    ModelError for what is not wholly imported, FileError as check_free does, OSError.
    """
    if found.input is None or not found.outputs or not (found.integer or found.floating):
        raise ModelError(f"{found.name} is not wholly imported")
    earlier = check_free(folder)
    files = _contents(found, found.input, found.outputs)
    header = _header(found, found.input, found.outputs)
    header["sha256"] = {name: _sha256(data) for name, data in files.items()}
    files[NETWORK] = json_io.text(header).encode()
    return folders.write(files, folder, earlier)


def _contents(found: Imported, first: InputEnd, last: Sequence[OutputEnd]) -> dict[str, bytes]:
    """Return the content of all files but the header, by name."""
    files = {}
    if found.integer:
        files[INTEGER] = npz_bytes(integer_files.contents(found.integer))
    if found.floating:
        text = yaml_io.dump({"network": graph_items(found.floating.graph)})
        files[GRAPH] = text.encode()
        files[WEIGHTS] = npz_bytes(found.floating.weights)
    orders = {"input": first.order, "output": joined_order(last)}
    given = {name: order for name, order in orders.items() if order is not None}
    if given:
        files[ORDER] = npz_bytes(given)
    return files


def check_free(folder: Path) -> Earlier:
    """Return which files of an older import are as it wrote them.

    Raises FileError unless ``folder`` is absent, empty, or a network folder; a link is refused.
    """
    if folder.is_symlink():
        raise FileError(f"{escaped(str(folder))} is a link; name the folder itself")
    if os.path.lexists(folder) and not folder.is_dir():
        raise FileError(f"{escaped(str(folder))} is a file; name another folder")
    found = [NETWORK] if (folder / NETWORK).exists() else []
    found += sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not found:
        return folders.NOTHING
    try:
        node = json_io.load(folder / NETWORK)
        ours = node.at("format").integer() == FORMAT
        said = {name: one.string() for name, one in node.at("sha256").mapping().items()}
    except FileError:
        ours, said = False, {}
    if not ours or not (INTEGER in said or GRAPH in said):
        raise FileError(
            f"{escaped(str(folder))}: holds {quoted(found[0])}, but is no network folder; name "
            "an empty folder or a new one"
        )
    listed = {name for name in _LISTED if name in said}
    written = {name for name in listed if _digest(folder / name) == said[name]}
    return Earlier(frozenset(written | {NETWORK}), frozenset(listed - written))


def _digest(path: Path) -> str | None:
    """Return the SHA-256 of a file; None for what is none, or a link."""
    try:
        return None if path.is_symlink() else _sha256(read_bytes(path, max_memory()))
    except FileError:
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _header(found: Imported, first: InputEnd, last: Sequence[OutputEnd]) -> dict[str, Any]:
    ends: dict[str, Any] = {
        "input": stored_ends.items(first),
        "outputs": [stored_ends.items(end) for end in last],
    }
    return {
        "format": FORMAT,
        "name": found.name,
        "kind": "integer" if found.integer else "float",
        "source": dataclasses.asdict(found.source),
        **ends,
        "pixels": dataclasses.asdict(found.pixels) if found.pixels else None,
        "ceilings": dict(found.floating.ceilings) if found.floating else {},
        "import": found.table.to_dict(),
    }


# Reading -------------------------------------------------------------------------------------


def load(folder: Path) -> NetworkFolder:
    """Read a folder that ``save`` wrote. Raises FileError and ModelError for any other."""
    node = json_io.load(folder / NETWORK)
    version = node.at("format").integer()
    if version != FORMAT:
        raise node.at("format").error(f"is {version}; this version reads {FORMAT}")
    name, kind = node.at("name").string(), node.at("kind").choice(("integer", "float"))
    path = folder / ORDER
    orders = arrays.read_npz(path) if path.exists() else {}
    ends = stored_ends.read(node, orders, escaped(str(path)))
    source = build(node.at("source"), Source)
    said = node.get("pixels")  # absent in folders of older versions
    pixels = build(said, InputRange) if said else None
    if kind == "integer":
        network = integer_files.load(folder / INTEGER)
        spec = network.tensors[network.input]
        stored_ends.check_input(node.at("input"), ends[0], spec.shape, spec.bits)
        if network.parts != (tuple(end.part for end in ends[1]) if len(ends[1]) > 1 else ()):
            raise node.error(f"outputs: must be those of {INTEGER}")
        return NetworkFolder(name, source, *ends, network, None, pixels)
    floating = _floating(folder, name, node)
    graph = floating.graph
    stored_ends.check_input(node.at("input"), ends[0], graph.shapes[graph.input.name], None)
    stored_ends.check_outputs(node, ends[1], math.prod(graph.shapes[graph.output.name]))
    return NetworkFolder(name, source, *ends, None, floating, pixels)


def table(folder: Path) -> Table:
    """Return the table of the import that made a folder. Raises FileError."""
    node = json_io.load(folder / NETWORK).at("import")
    rows = [
        build(item, Row, fate=fate)
        for fate in ("mapped", "folded", "host")
        for item in node.at(fate).items()
    ]
    return Table(rows, [build(item, RefusedRow) for item in node.at("refused").items()])


def _floating(folder: Path, name: str, node: Node) -> FloatNetwork:
    graph = read_graph(yaml_io.load(folder / GRAPH).at("network"), name)
    weights = arrays.read_npz(folder / WEIGHTS)
    where = escaped(str(folder / WEIGHTS))
    for key, array in weights.items():
        layer, _, part = key.rpartition(".")
        if layer not in graph or part not in ("weight", "bias") or array.dtype != np.float32:
            raise FileError(f"{where}: {escaped(key)} is no weight or bias of a layer")
        if not np.isfinite(array).all():
            raise FileError(f"{where}: {escaped(key)} holds values that are not finite")
    for layer_name, shape in weight_shapes(graph).items():
        found = weights.get(f"{layer_name}.weight"), weights.get(f"{layer_name}.bias")
        if found[0] is None or found[1] is None:
            raise FileError(f"{where}: weights of layer {layer_name} are missing")
        if found[0].shape != shape or found[1].shape != shape[:1]:
            raise FileError(f"{where}: weights of layer {layer_name} must be {shape}")
    ceilings = {key: item.number(low=0) for key, item in node.at("ceilings").mapping().items()}
    return FloatNetwork(graph, weights, ceilings)


def weight_shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    """Return the shape of each layer's weights, by name: of convolutions and linear layers."""
    from models.graph.layers import Conv2d, Linear
    from models.integer.assemble import weight_shapes as shapes

    return {
        layer.name: shapes(graph, layer)[0]
        for layer in graph.layers
        if isinstance(layer.spec, Conv2d | Linear)
    }
