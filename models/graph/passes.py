"""Graph passes: each takes a verified graph and returns one that computes the same real values.

is_signed and scale_source are questions about a graph that passes and quantisation ask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from models.graph.activations import POSITIVE
from models.graph.layers import (
    Activation,
    Add,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    LayerSpec,
    Linear,
    MaxPool,
    Relu,
    Requantise,
)
from models.graph.network import Layer, NetworkGraph
from models.graph.verifier import verify

Pass = Callable[[NetworkGraph], NetworkGraph]


def run_passes(graph: NetworkGraph, passes: Iterable[Pass]) -> NetworkGraph:
    """Apply ``passes`` in order and return the resulting graph.

    The graph is verified before the first and after each. Raises ModelError.
    """
    verify(graph)
    for one in passes:
        graph = verify(one(graph))
    return graph


def legalise(graph: NetworkGraph) -> NetworkGraph:
    """Return the legal form, which is trained and lowered. Raises ModelError.

    Sums of more than two are split (``split_sums``), ReLUs fused (``fuse_relu``), nested concats
    flattened (``flatten_concats``), and concat inputs that cannot share a scale copied
    (``copy_concat_inputs``).
    """
    return run_passes(graph, (split_sums, fuse_relu, flatten_concats, copy_concat_inputs))


def is_signed(graph: NetworkGraph, name: str) -> bool:
    """True if the output of layer ``name`` is a signed tensor.

    The input and a ReLU's result are unsigned. A convolution, linear layer or add without ReLU is
    signed, and an activation unless its function has no negative values. Any other layer is signed
    if one of its inputs is.
    """
    layer = graph[name]
    match layer.spec:
        case Input() | Relu():
            return False
        case Conv2d(relu=relu) | Linear(relu=relu) | Add(relu=relu):
            return not relu
        case Activation(function=function):
            return function not in POSITIVE
    return any(is_signed(graph, source) for source in layer.inputs)


PART = ".part"
"""Suffix of a partial sum's name, behind that of the sum."""


def split_sums(graph: NetworkGraph) -> NetworkGraph:
    """Replace every sum of more than two tensors by sums of two, from the first input on.

    The last of them keeps the sum's name and ReLU; partial sums are named after it, with PART.
    """
    for layer in graph.layers:
        if isinstance(layer.spec, Add) and len(layer.inputs) > 2:
            first, second, *others = layer.inputs
            part = Layer(graph.fresh_name(f"{layer.name}{PART}"), Add(), (first, second))
            rest = Layer(layer.name, layer.spec, (part.name, *others))
            return split_sums(graph.edited(replace=[rest], insert=[part]))
    return graph


def fuse_relu(graph: NetworkGraph) -> NetworkGraph:
    """Fuse every standalone ReLU into its producer if nothing else reads the producer.

    Producers are Conv2d, Linear and Add, and keep their names. A ReLU over an unsigned tensor is
    removed; any other one stays a layer of its own.
    """
    for layer in graph.layers:
        if not isinstance(layer.spec, Relu):
            continue
        (source,) = layer.inputs
        producer = graph[source]
        if not is_signed(graph, source):
            return fuse_relu(_bypass(graph, layer.name, source))
        fusable = isinstance(producer.spec, Conv2d | Linear | Add)
        if fusable and graph.consumers(source) == (layer.name,):
            spec = dataclasses.replace(producer.spec, relu=True)  # type: ignore[call-arg]
            fused = graph.edited(replace=[Layer(source, spec, producer.inputs)])
            return fuse_relu(_bypass(fused, layer.name, source))
    return graph


def _bypass(graph: NetworkGraph, name: str, source: str) -> NetworkGraph:
    """Return ``graph`` without layer ``name``, whose consumers read ``source`` instead."""
    layers = graph.rewired(lambda wanted: source if wanted == name else wanted)
    return NetworkGraph(graph.name, [layer for layer in layers if layer.name != name])


def flatten_concats(graph: NetworkGraph) -> NetworkGraph:
    """Replace nested concats by flat ones; an inner concat that nothing else reads is removed.

    The inner concat's inputs stand in its place, in their order. An inner concat that other layers
    and one concat read, once, stays: it is a part of that one's memory.
    """
    replaced = []
    for layer in graph.layers:
        if isinstance(layer.spec, Concat):
            inputs = tuple(leaf for source in layer.inputs for leaf in _leaves(graph, source))
            replaced.append(Layer(layer.name, layer.spec, inputs))
    flat = graph.edited(replace=replaced)
    unread = [
        layer.name
        for layer in flat.layers
        if isinstance(layer.spec, Concat) and not flat.consumers(layer.name)
    ]
    return flat.edited(remove=unread)


def _leaves(graph: NetworkGraph, name: str) -> list[str]:
    layer = graph[name]
    if not isinstance(layer.spec, Concat) or _stays(graph, name):
        return [name]
    return [leaf for source in layer.inputs for leaf in _leaves(graph, source)]


def _stays(graph: NetworkGraph, name: str) -> bool:
    """Return True for a concat that other layers and one concat, once, read."""
    readers = [graph[reader] for reader in graph.consumers(name)]
    outer = [reader for reader in readers if isinstance(reader.spec, Concat)]
    once = len(outer) == 1 and outer[0].inputs.count(name) == 1
    return once and len(readers) > 1


def scale_source(graph: NetworkGraph, name: str) -> str:
    """Return the name of the layer that sets the scale of the output of layer ``name``.

    That is ``name`` itself; for max pooling (also global), which passes the codes of its input on,
    it is the layer that sets the scale of the input.
    """
    layer = graph[name]
    pools = isinstance(layer.spec, MaxPool) or layer.spec == GlobalPool("max")
    return scale_source(graph, layer.inputs[0]) if pools else name


def copy_concat_inputs(graph: NetworkGraph) -> NetworkGraph:
    """Insert Requantise layers so that all inputs of a concat can share one scale and sign.

    A copy is needed for the network's input (its scale is fixed), for a scale that belongs to a
    concat already (a tensor has one place in memory), and for the result of a ReLU among signed
    tensors (ReLU clamps at code 0, which is the zero point of unsigned tensors only); also if max
    pooling stands between. An inner concat needs one if its sign is another, or behind max pooling.
    Copies are named after their input, with ``_copy``.
    """
    taken: set[str] = set()
    for concat in graph.layers:
        if not isinstance(concat.spec, Concat):
            continue
        signed = is_signed(graph, concat.name)
        inputs = list(concat.inputs)
        for index, source in enumerate(inputs):
            root = scale_source(graph, source)
            spec = graph[root].spec
            inner = isinstance(spec, Concat)
            fixed = isinstance(spec, Input) or (inner and root != source)
            clamps = signed and (_clamps(spec) or (inner and not is_signed(graph, root)))
            if root in taken or fixed or clamps:
                copy = Layer(graph.fresh_name(f"{source}_copy"), Requantise(), (source,))
                graph = graph.edited(insert=[copy])
                inputs[index] = root = copy.name
            taken.add(root)
        graph = graph.edited(replace=[Layer(concat.name, concat.spec, tuple(inputs))])
    return graph


def _clamps(spec: LayerSpec) -> bool:
    return isinstance(spec, Relu) or (isinstance(spec, Conv2d | Linear | Add) and spec.relu)
