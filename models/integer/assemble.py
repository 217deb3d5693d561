"""Structure of the integer network: layers become MacLayers with numbers given by the caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from models.graph.activations import FUNCTIONS
from models.graph.layers import (
    Activation,
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    Linear,
    MaxPool,
)
from models.graph.network import Layer, NetworkGraph
from models.graph.windows import Sides
from models.integer.lookups import lookup
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    Ints,
    Lookup,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from models.quantisation.plan import (
    ADD_WEIGHT_BITS,
    ONES_WEIGHT_BITS,
    Quantisation,
    TensorPlan,
    plan_tensors,
    threshold_layers,
)

LOGIT_BITS = 32
"""Nominal width in bits in the logits' TensorSpec; the logits are accumulators."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """Weights, bias and requantisation of a MacLayer, with the shapes given in MacLayer and Source.

    weights: one array per source. Made by ``freeze`` from a trained network, by ``blank_numbers``
    without one.
    """

    weights: tuple[Ints, ...]
    bias: Ints
    requant_multiplier: Ints
    requant_shift: Ints
    thresholds: Ints | None = None


def weight_shapes(graph: NetworkGraph, layer: Layer) -> tuple[tuple[int, int, int, int], ...]:
    """Return a MacLayer's integer weight shapes (out, in / groups, rows, cols), per source.

    layer: any but an input or a concat (not checked). Layers other than conv2d, linear and average
    pooling have depthwise 1x1 weights.
    """
    channels, rows, cols = graph.shapes[layer.inputs[0]]
    out = graph.shapes[layer.name][0]
    match layer.spec:
        case Conv2d(kernel=kernel, groups=groups):
            return ((out, channels // groups, *kernel),)
        case Linear():
            return ((out, channels, rows, cols),)
        case AvgPool(kernel=kernel):
            return ((out, 1, *kernel),)
        case GlobalPool(kind="avg"):
            return ((out, 1, rows, cols),)
    return ((out, 1, 1, 1),) * len(layer.inputs)


def fused_pools(graph: NetworkGraph) -> dict[str, str]:
    """Return the name of each max pooling fused into a MacLayer, by the name of the layer it pools.

    A pooling is fused if it has no padding, its windows do not overlap (the accelerator would
    compute shared positions once per window; along an axis with one window none do) and its
    producer is neither input, concat nor max pooling and has no other consumer.
    """
    fused: dict[str, str] = {}
    for layer in graph.layers:
        window = _max_window(graph, layer)
        if window is None or any(_reaches(graph, layer)):
            continue
        (source,) = layer.inputs
        producer = graph[source]
        places = graph.shapes[layer.name][1:]
        overlaps = any(
            count > 1 and stride < size
            for count, stride, size in zip(places, window.stride, window.kernel, strict=True)
        )
        alone = graph.consumers(source) == (layer.name,)
        computes = not isinstance(producer.spec, Input | Concat)
        if alone and computes and not overlaps and _max_window(graph, producer) is None:
            fused[source] = layer.name
    return fused


def fused_activations(graph: NetworkGraph) -> dict[str, str]:
    """Return the name of each activation that a MacLayer looks up itself, by that layer's name.

    It is one behind a layer that computes and has no other consumer; any other activation is a copy
    of its input that is looked up.
    """
    fused: dict[str, str] = {}
    for layer in graph.layers:
        if isinstance(layer.spec, Activation):
            producer = graph[layer.inputs[0]]
            computes = not isinstance(producer.spec, Input | Concat | Activation)
            alone = graph.consumers(producer.name) == (layer.name,)
            if alone and computes and _max_window(graph, producer) is None:
                fused[producer.name] = layer.name
    return fused


def _max_window(graph: NetworkGraph, layer: Layer) -> PoolWindow | None:
    match layer.spec:
        case MaxPool(kernel=kernel, stride=stride):
            return PoolWindow(kernel, stride)
        case GlobalPool(kind="max"):
            _, rows, cols = graph.shapes[layer.inputs[0]]
            return PoolWindow((rows, cols), (1, 1))
    return None


def _reaches(graph: NetworkGraph, layer: Layer) -> Sides:
    """Return how far a layer's windows reach beyond its input: top, left, bottom, right."""
    if not isinstance(layer.spec, Conv2d | AvgPool | MaxPool):
        return 0, 0, 0, 0
    rows, cols = layer.spec.axes(graph.shapes[layer.inputs[0]])
    return rows.before, cols.before, max(rows.margin, 0), max(cols.margin, 0)


def assemble(
    graph: NetworkGraph,
    quantisation: Quantisation,
    scale_bits: int,
    numbers: Callable[[Layer], Numbers],
    scales: Mapping[str, float],
) -> IntegerNetwork:
    """Build the integer network of a graph in legal form.

    scale_bits: width of the requantisation multipliers. numbers: called once for every layer that
    becomes a MacLayer, in order. scales: scale by the name of its owner (TensorPlan.scale_owner),
    and the logits' scale by the output layer's name.
    """
    plans = plan_tensors(graph, quantisation)
    fused, curves = fused_pools(graph), fused_activations(graph)
    taken = {*fused.values(), *curves.values()}
    output = graph.output.name
    tensors: dict[str, TensorSpec] = {}
    layers: list[MacLayer | ConcatLayer] = []
    for layer in graph.layers:
        name, shape = layer.name, graph.shapes[layer.name]
        if name not in fused and name not in curves and name != output:
            plan = plans[name]
            scale = scales[plan.scale_owner]
            tensors[name] = TensorSpec(name, shape, plan.bits, plan.signed, scale, plan.zero_point)
        if isinstance(layer.spec, Concat):
            layers.append(ConcatLayer(name, layer.inputs, name))
        elif not isinstance(layer.spec, Input) and name not in taken:
            curve = curves.get(name)
            made = _mac_layer(
                graph, layer, fused.get(curve or name, curve), tensors, quantisation, numbers(layer)
            )
            if curve or isinstance(layer.spec, Activation):
                before = name if curve else layer.inputs[0]
                table = _lookup(graph[curve or name], plans[before], plans, scales)
                made = dataclasses.replace(made, lookup=table)
            layers.append(made)
    tensors[output] = TensorSpec(output, graph.shapes[output], LOGIT_BITS, True, scales[output])
    return IntegerNetwork(graph.name, graph.input.name, tuple(layers), tensors, scale_bits)


def _lookup(
    layer: Layer, before: TensorPlan, plans: Mapping[str, TensorPlan], scales: Mapping[str, float]
) -> Lookup:
    """Return the table of an activation; before: plan of the codes that are looked up."""
    assert isinstance(layer.spec, Activation)
    first, last = (
        (scales[plan.scale_owner], plan.zero_point, plan.bits)
        for plan in (before, plans[layer.name])
    )
    made = lookup(FUNCTIONS[layer.spec.function], first, last)
    return dataclasses.replace(made, table=layer.spec.table)


def _mac_layer(
    graph: NetworkGraph,
    layer: Layer,
    output: str | None,
    tensors: Mapping[str, TensorSpec],
    quantisation: Quantisation,
    numbers: Numbers,
) -> MacLayer:
    spec = layer.spec
    own_pool = _max_window(graph, layer)
    groups = graph.shapes[layer.name][0]
    weight_bits = ADD_WEIGHT_BITS if isinstance(spec, Add) else ONES_WEIGHT_BITS
    if isinstance(spec, Conv2d | Linear):
        groups = spec.groups if isinstance(spec, Conv2d) else 1
        weight_bits = quantisation.spec(layer.name).weight_bits
    return MacLayer(
        name=layer.name,
        op=spec.op,
        sources=tuple(
            Source(tensor, weights)
            for tensor, weights in zip(layer.inputs, numbers.weights, strict=True)
        ),
        output=output or layer.name,
        groups=groups,
        stride=spec.stride if isinstance(spec, Conv2d | AvgPool) else (1, 1),
        padding=_reaches(graph, layer)[:2],
        dilation=spec.dilation if isinstance(spec, Conv2d) else (1, 1),
        # Padding of a max pooling must lose to every code; elsewhere it is the real value 0.
        pad_code=0 if own_pool else tensors[layer.inputs[0]].zero_point,
        weight_bits=weight_bits,
        bias=numbers.bias,
        requant_multiplier=numbers.requant_multiplier,
        requant_shift=numbers.requant_shift,
        thresholds=numbers.thresholds,
        pool=_max_window(graph, graph[output]) if output else own_pool,
        raw=layer.name == graph.output.name,
        sparsity=quantisation.sparsity(layer),
    )


def blank_numbers(graph: NetworkGraph, layer: Layer, quantisation: Quantisation) -> Numbers:
    """Return Numbers of the right shapes for estimates before training: all 0, shift 1.

    Learned thresholds are 1 and up. Dense 1-bit weights, which are never 0, are 1. layer: as for
    ``weight_shapes``.
    """
    shapes = weight_shapes(graph, layer)
    channels = shapes[0][0]
    zeros = np.zeros(channels, np.int64)
    of_one_bit = isinstance(layer.spec, Conv2d | Linear) and (
        quantisation.spec(layer.name).weight_bits == 1 and quantisation.sparsity(layer) is None
    )
    weights = tuple(np.full(shape, int(of_one_bit), np.int64) for shape in shapes)
    thresholds = None
    if layer.name in threshold_layers(graph, quantisation):
        codes = 1 << quantisation.spec(layer.name).activation_bits
        thresholds = np.tile(np.arange(1, codes), (channels, 1))
    return Numbers(weights, zeros, zeros, np.ones(channels, np.int64), thresholds)
