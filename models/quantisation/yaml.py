"""Reading and writing of quantisations as human-readable YAML.

A quantisation is ``{input_bits, input_zero_point, learned_thresholds, default: {weight_bits,
activation_bits, sparsity}, layers: {c1: {...}}}``; every key is optional. Sparsity is ``"2:4"``, in
quotes, or null for none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any, get_type_hints

from models.arithmetic import MOST_THRESHOLD_BITS
from models.files.nodes import Node, build, construct, convert, nearest
from models.files.yaml_io import FlowDict
from models.graph.network import NetworkGraph
from models.graph.passes import legalise
from models.quantisation.plan import (
    ACTIVATION_BITS,
    NO_SPARSITY,
    SPARSITY,
    WEIGHT_BITS,
    Quantisation,
    QuantSpec,
    knobs,
    threshold_layers,
)
from models.quantisation.sparsity import Sparsity


def read_quantisation(node: Node, graph: NetworkGraph) -> Quantisation:
    """Return the quantisation of ``graph`` in ``node``.

    Fields that a layer does not give are those of ``default``; without ``default`` those of
    QuantSpec(). Raises YamlError with file and line, also for a layer's field that would have no
    effect, ModelError when the graph is not sound.
    """
    known = ["input_bits", "input_zero_point", "learned_thresholds", "default", "layers"]
    nodes = node.fields(known)
    bits = nodes["input_bits"].integer(1, 8) if "input_bits" in nodes else Quantisation.input_bits
    zero = 0
    if "input_zero_point" in nodes:
        zero = nodes["input_zero_point"].integer(0, (1 << bits) - 1)
    thresholds = "learned_thresholds" in nodes and nodes["learned_thresholds"].boolean()
    default = Quantisation.default
    if "default" in nodes:
        default = build(nodes["default"], QuantSpec)
    layers: dict[str, QuantSpec] = {}
    usable = knobs(graph)
    for name, item in nodes["layers"].mapping().items() if "layers" in nodes else ():
        if name not in graph and name not in usable:
            names = list(dict.fromkeys((*(layer.name for layer in graph.layers), *usable)))
            raise item.error(f"no layer is named {name!r}; {nearest(name, names)}")
        if name not in usable:
            raise item.error(f"layer {name} ({graph[name].spec.op}) has no bits of its own")
        if SPARSITY in item.mapping() and SPARSITY not in usable[name]:
            raise item.mapping()[SPARSITY].error(NO_SPARSITY)
        layers[name] = _layer_spec(item, default, usable[name])
    return Quantisation(bits, default, layers, zero, thresholds)


def check_thresholds(node: Node, graph: NetworkGraph, found: Quantisation) -> None:
    """Raise YamlError for learned thresholds in ``node`` that no layer of a network can have."""
    if found.learned_thresholds and not threshold_layers(legalise(graph), found):
        raise node.at("learned_thresholds").error(
            "no layer can have them: convolutions and linear layers with a ReLU and activations of "
            f"up to {MOST_THRESHOLD_BITS} bits can, but for the output and what shares its scale"
        )


def _layer_spec(node: Node, default: QuantSpec, usable: Collection[str]) -> QuantSpec:
    given, hints = node.fields(usable), get_type_hints(QuantSpec)
    values = {key: convert(child, hints[key]) for key, child in given.items()}
    if SPARSITY not in usable:
        values[SPARSITY] = None
    return construct(node, given, lambda: dataclasses.replace(default, **values))


def quantisation_items(quantisation: Quantisation, graph: NetworkGraph) -> dict[str, Any]:
    """Return plain data for yaml_io.dump: input bits, default, and the named layers.

    A layer's fields without effect (``knobs``), and a sparsity equal to the default's, are left
    out, as are layers without any field that has an effect.
    """
    layers: dict[str, FlowDict] = {}
    for name, fields in knobs(graph).items():
        if name in quantisation.layers:
            inherited = quantisation.default.sparsity
            layers[name] = _spec_item(quantisation.layers[name], fields, inherited)
    items: dict[str, Any] = {"input_bits": quantisation.input_bits}
    if quantisation.input_zero_point:
        items["input_zero_point"] = quantisation.input_zero_point
    if quantisation.learned_thresholds:
        items["learned_thresholds"] = True
    all_fields = (WEIGHT_BITS, ACTIVATION_BITS, SPARSITY)
    items["default"] = _spec_item(quantisation.default, all_fields, None)
    return {**items, "layers": layers} if layers else items


def _spec_item(spec: QuantSpec, fields: Sequence[str], inherited: Sparsity | None) -> FlowDict:
    """Return these ``fields`` of a QuantSpec as plain data: bits as integers, sparsity as text.

    The sparsity is None for dense weights, and left out where it equals ``inherited``.
    """
    item = FlowDict({field: getattr(spec, field) for field in fields if field != SPARSITY})
    if SPARSITY in fields and spec.sparsity != inherited:
        item[SPARSITY] = str(spec.sparsity) if spec.sparsity else None
    return item
