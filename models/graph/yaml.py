"""Reading and writing of networks as human-readable YAML.

A network is a list of layers; a layer reads the one above it unless ``inputs`` says otherwise::

    - {name: image, op: input, shape: [1, 8, 8]}
    - {name: c1, op: conv2d, out_channels: 16, kernel: 3, padding: 1, batch_norm: true, relu: true}
    - {name: c2, op: conv2d, out_channels: 16, kernel: 3, padding: 1}
    - {name: sum, op: add, inputs: [c1, c2]}
    - {name: c3, op: conv2d, out_channels: 8, kernel: 3, stride: 2, padding: [0, 0, 1, 1]}
"""

from __future__ import annotations

import dataclasses
from typing import Any, get_type_hints

from models.errors import ModelError
from models.files.nodes import Node, construct, convert
from models.files.yaml_io import FlowDict
from models.graph.alternatives import alternative, unsupported
from models.graph.layers import OPS, LayerSpec, Padding, Pair
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import legalise
from models.graph.verifier import verify
from models.graph.windows import Sides

_FOLLOWS = {"stride": "kernel"}
"""Field whose value another field takes where it is absent, by that other field's name: a pooling
stride is its kernel."""
_PADDINGS = {
    "same": "write a number: half of an odd kernel, rounded down, keeps the size at stride 1",
    "valid": "write 0, or leave it out",
}
"""Words for a padding in other tools -> what to write."""


def read_graph(node: Node, name: str) -> NetworkGraph:
    """Return the verified network called ``name`` from a YAML list of layers.

    Raises YamlError with file and line, also if the network cannot be legalised.
    """
    layers: list[Layer] = []
    lines: dict[str, Node] = {}
    for item in node.items():
        above = layers[-1].name if layers else None
        layer = _read_layer(item, above)
        if layer.name in lines:
            first = lines[layer.name].line
            raise item.error(f"layer name {layer.name!r} is given twice (first: line {first})")
        lines[layer.name] = item
        layers.append(layer)
    try:
        graph = verify(NetworkGraph(name, layers))
        legalise(graph)
    except ModelError as error:
        words = str(error).replace(":", " ").replace(",", " ").split()
        guilty = next((lines[word] for word in words if word in lines), node)
        raise guilty.error(str(error)) from None
    return graph


def _read_layer(node: Node, above: str | None) -> Layer:
    given = node.mapping()
    for key in ("name", "op"):
        if key not in given:
            raise node.error(f"missing key {key}")
    name, op = given["name"].string(), given["op"].string()
    if op not in OPS:
        raise given["op"].error(f"layer {name}: {unsupported(op, OPS)}")
    spec_type = OPS[op]
    fields = {field.name: field for field in dataclasses.fields(spec_type)}
    required = [f for f in _without_default(spec_type) if _FOLLOWS.get(f) not in fields]
    known = ["name", "op", "inputs", *fields]
    for key, child in given.items():
        hint = None if key in known else alternative(key)
        if hint:
            raise child.error(f"layer {name} ({op}): unknown key {key!r}: {hint}")
    nodes = node.fields(known, ["name", "op", *required])
    default_inputs = (above,) if spec_type.most_inputs != 0 and above is not None else ()
    inputs = tuple(item.string() for item in nodes["inputs"].items()) if "inputs" in nodes else None
    hints = get_type_hints(spec_type)
    values = {key: _value(nodes[key], hints[key], name) for key in fields if key in nodes}
    for key in _without_default(spec_type):
        values.setdefault(key, values.get(_FOLLOWS.get(key, key)))
    spec = construct(node, nodes, lambda: spec_type(**values))
    return Layer(name, spec, default_inputs if inputs is None else inputs)


def _without_default(spec_type: type[LayerSpec]) -> list[str]:
    return [f.name for f in dataclasses.fields(spec_type) if f.default is dataclasses.MISSING]


def _value(node: Node, hint: Any, layer: str) -> Any:
    """Convert as ``convert`` does, but accept one integer for (rows, columns) of equal ones.

    hint: the field's type. Raises YamlError; for paddings of other tools (same, valid) it says what
    to write in the layer called ``layer``.
    """
    if hint in (Pair, Padding) and not isinstance(node.value, tuple):
        if isinstance(node.value, str) and node.value.lower() in _PADDINGS:
            raise node.error(f"layer {layer}: {_PADDINGS[node.value.lower()]}")
        size = node.integer()
        return size, size
    if hint == Padding:
        count = len(node.items())
        if count not in (2, 4):
            raise node.error(
                f"layer {layer}: padding must be a number, [rows, columns] or "
                f"[top, left, bottom, right], not a list of {count}"
            )
        hint = Pair if count == 2 else Sides
    return convert(node, hint)


def graph_items(graph: NetworkGraph) -> list[FlowDict]:
    """Return a verified graph's layers as plain data for yaml_io.dump; read_graph restores them.

    Fields with their default value are left out, and ``inputs`` that are just the layer above.
    """
    items: list[FlowDict] = []
    above: str | None = None
    for layer in graph.layers:
        item = FlowDict(name=layer.name, op=layer.spec.op)
        if layer.inputs and layer.inputs != (above,):
            item["inputs"] = list(layer.inputs)
        for field in dataclasses.fields(layer.spec):
            value = getattr(layer.spec, field.name)
            if value != field.default:
                item[field.name] = _plain(value)
        items.append(item)
        above = layer.name
    return items


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] if len(value) == 2 and value[0] == value[1] else list(value)
    return value
