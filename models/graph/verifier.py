"""Verifier: the rules that every network must satisfy, before and after every pass."""

from __future__ import annotations

import math

import networkx as nx

from models.errors import ModelError
from models.files.reading import quoted
from models.graph.alternatives import unsupported
from models.graph.layers import OPS, Activation, Add, Conv2d, Input, Linear, Shape
from models.graph.network import NetworkGraph

MOST_LAYERS = 512
"""Most layers of a network: the longest program holds some 227 that compute."""
MOST_SIDE = 1 << 16
"""Most channels, rows or columns of a tensor."""
MOST_ELEMENTS = 1 << 26
"""Most elements of a tensor."""
MOST_WEIGHTS = 1 << 28
"""Most weights of a network."""
MOST_POSITIONS = 1 << 16
"""Most positions (rows times columns) of a convolution's kernel."""


def verify(graph: NetworkGraph) -> NetworkGraph:
    """Check ``graph`` and return it, so that calls can be chained. Raises ModelError.

    Rules: known operators, matching numbers and shapes of inputs, no more layers, no larger tensors
    or kernels and no more weights than the limits above, one input, one output, all layers reached
    from the input. The output is a linear layer or a convolution, without ReLU. Activations that
    share a table have one function and read what layers compute, all signed or all rectified.
    """
    if len(graph.layers) > MOST_LAYERS:
        raise ModelError(f"a network has up to {MOST_LAYERS} layers, not {len(graph.layers)}")
    for layer in graph.layers:
        if OPS.get(layer.spec.op) is not type(layer.spec):
            raise ModelError(f"layer {layer.name}: {unsupported(layer.spec.op, OPS)}")
    shapes = graph.shapes
    _check_sizes(graph, shapes)
    _check_ends(graph)
    reached = {graph.input.name, *nx.descendants(graph.nx, graph.input.name)}
    loose = [name for name in shapes if name not in reached]
    if loose:
        raise ModelError(f"the layers {', '.join(loose)} do not depend on the input")
    _check_output(graph)
    _check_tables(graph)
    return graph


def _check_sizes(graph: NetworkGraph, shapes: dict[str, Shape]) -> None:
    """Refuse tensors, kernels and weights that no memory would hold, before any is taken."""
    for layer in graph.layers:
        if isinstance(layer.spec, Conv2d) and math.prod(layer.spec.kernel) > MOST_POSITIONS:
            raise ModelError(
                f"layer {layer.name}: the kernel of a convolution has up to {MOST_POSITIONS} "
                f"positions, not {quoted(layer.spec.kernel)}"
            )
        shape = shapes[layer.name]
        if max(shape) > MOST_SIDE or math.prod(shape) > MOST_ELEMENTS:
            raise ModelError(
                f"layer {layer.name}: a tensor has up to {MOST_SIDE} channels, rows and columns "
                f"and {MOST_ELEMENTS} elements, not the shape {quoted(shape)}"
            )
    if count_weights(graph) > MOST_WEIGHTS:
        raise ModelError(
            f"a network has up to {MOST_WEIGHTS} weights, not {quoted(count_weights(graph))}"
        )


def count_weights(graph: NetworkGraph) -> int:
    """Return the weights of all convolutions and linear layers, biases not counted."""
    total = 0
    for layer in graph.layers:
        out, spec = graph.shapes[layer.name][0], layer.spec
        if isinstance(spec, Conv2d):
            channels = graph.shapes[layer.inputs[0]][0]
            total += out * (channels // spec.groups) * math.prod(spec.kernel)
        elif isinstance(spec, Linear):
            total += out * math.prod(graph.shapes[layer.inputs[0]])
    return total


def _check_ends(graph: NetworkGraph) -> None:
    inputs = [layer.name for layer in graph.layers if isinstance(layer.spec, Input)]
    if len(inputs) != 1:
        raise ModelError(f"a network has exactly one input layer, not {len(inputs)} {inputs}")
    outputs = [layer.name for layer in graph.layers if not graph.consumers(layer.name)]
    if len(outputs) != 1:
        raise ModelError(
            f"exactly one layer may have no consumer (the output), not {', '.join(outputs)}; "
            "remove the dangling layers or connect them"
        )


def _check_output(graph: NetworkGraph) -> None:
    last = graph.output
    if not isinstance(last.spec, Linear | Conv2d):
        raise ModelError(
            f"layer {last.name}: the output must be a linear layer or a conv2d (its accumulators "
            f"are the outputs), not {last.spec.op}"
        )
    if last.spec.relu:
        raise ModelError(f"layer {last.name}: the output layer returns logits; set relu: false")


def _check_tables(graph: NetworkGraph) -> None:
    first: dict[str, tuple[str, bool]] = {}
    for layer in graph.layers:
        if not (isinstance(layer.spec, Activation) and layer.spec.table):
            continue
        before = graph[layer.inputs[0]].spec
        if not isinstance(before, Conv2d | Linear | Add):
            raise ModelError(
                f"layer {layer.name}: shares a table, so it must read a conv2d, a linear layer or "
                f"an add, not {before.op}"
            )
        found = layer.spec.function, before.relu
        if first.setdefault(layer.spec.table, found) != found:
            raise ModelError(
                f"layer {layer.name}: others of table {quoted(layer.spec.table)} have another "
                "function, or a ReLU before them where it has none"
            )
