"""Bands: some layers of a network, computed for a few rows of their results at a time.

A segment is a run of layers whose tensors, but for those that come in and go out, exist one band
at a time. What comes in is in memory or comes from the host, what goes out goes to memory. Of some
tensors neighbouring bands need the same rows (the halo of a kernel): each brings or computes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from codesign.compiler.mapping.shapes import LayerShape, layer_shapes
from codesign.compiler.mapping.storage import StoragePlan
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, TensorSpec

Rows = range
Layer = MacLayer | ConcatLayer


@dataclass(frozen=True)
class Flow:
    """Which layers of a network write and read each storage; positions among all its layers."""

    network: IntegerNetwork
    shapes: tuple[LayerShape, ...]
    storage: StoragePlan

    def root(self, tensor: str) -> str:
        """The storage that holds a tensor."""
        return self.storage.views[tensor].storage

    def inputs(self, layer: Layer) -> list[str]:
        if isinstance(layer, ConcatLayer):
            return list(layer.inputs)
        return [source.tensor for source in layer.sources]

    def uses(self, layer: Layer) -> set[str]:
        """Storages that a layer reads."""
        return {self.root(name) for name in self.inputs(layer)}

    def makes(self, layer: Layer) -> str | None:
        """The storage that a layer writes; none for logits."""
        if isinstance(layer, MacLayer) and layer.raw:
            return None
        return self.root(layer.output)

    def cuts(self) -> list[int]:
        """Positions before which a segment may begin: the layers that write one storage, or that
        read the image, stay together."""
        layers = self.network.layers
        held = list[tuple[int, int]]()
        for root in self.storage.storages:
            makers = [i for i, layer in enumerate(layers) if self.makes(layer) == root]
            if root == self.root(self.network.input):
                makers = [0, *(i for i, layer in enumerate(layers) if root in self.uses(layer))]
            held.append((min(makers), max(makers)))
        inner = {cut for low, high in held for cut in range(low + 1, high + 1)}
        return [cut for cut in range(len(layers) + 1) if cut not in inner]

    def entering(self, span: range) -> list[str]:
        """Storages that the layers of ``span`` read and do not make, in the order of reading."""
        layers = [self.network.layers[i] for i in span]
        made = {self.makes(layer) for layer in layers}
        found = dict.fromkeys(r for layer in layers for r in sorted(self.uses(layer)))
        return [root for root in found if root not in made]

    def leaving(self, span: range) -> list[str]:
        """Storages that they make and later layers read."""
        later = self.network.layers[span.stop :]
        wanted = set[str]().union(*(self.uses(layer) for layer in later))
        made = dict.fromkeys(self.makes(self.network.layers[i]) for i in span)
        return [root for root in made if root is not None and root in wanted]


def band_rows(flow: Flow, span: range, bands: int) -> list[dict[str, Rows]]:
    """For each band, the rows of every storage that it needs.

    Of what leaves the segment each band makes its share, of all else what that takes. A layer of
    two sources walks both alike: it needs the same rows of both.
    """
    layers = [flow.network.layers[i] for i in span]
    last = [flow.makes(layer) for layer in layers]
    outputs = flow.leaving(span) or [root for root in last[-1:] if root]
    found = []
    for band in range(bands):
        rows: dict[str, Rows] = {}
        for root in outputs:
            height = flow.network.tensors[root].shape[1]
            rows[root] = range(height * band // bands, height * (band + 1) // bands)
        while True:
            before = dict(rows)
            for layer in reversed(layers):
                _need_inputs(flow, layer, rows)
            if rows == before:
                break
        found.append(rows)
    return found


def _need_inputs(flow: Flow, layer: Layer, rows: dict[str, Rows]) -> None:
    """Add what a layer reads for the rows that it makes."""
    if isinstance(layer, ConcatLayer):  # its parts are the same storage
        return
    root, first = flow.makes(layer), flow.root(layer.sources[0].tensor)
    height = flow.network.tensors[layer.sources[0].tensor].shape[1]
    if root is None:
        needed = range(height)
    elif rows.get(root):
        needed = input_rows(layer, rows[root], height)
    else:
        return
    sources = {flow.root(source.tensor) for source in layer.sources} | {first}
    for source in sources:
        needed = joined(needed, rows.get(source, needed))
    rows.update(dict.fromkeys(sources, needed))


def input_rows(layer: MacLayer, out: Rows, height: int) -> Rows:
    """Rows of an input of ``height`` rows that the output rows ``out`` depend on; one at least."""
    window, step = (layer.pool.kernel[0], layer.pool.stride[0]) if layer.pool else (1, 1)
    kernel = layer.sources[0].weights.shape[2]
    low = out.start * step * layer.stride[0] - layer.padding[0]
    high = ((out.stop - 1) * step + window - 1) * layer.stride[0] - layer.padding[0] + kernel
    low = min(max(low, 0), height - 1)
    return range(low, max(low + 1, min(high, height)))


def joined(a: Rows, b: Rows) -> Rows:
    return range(min(a.start, b.start), max(a.stop, b.stop))


@dataclass(frozen=True)
class Piece:
    """One band of a segment as a network of its own, whose tensors are rows of the whole one's."""

    network: IntegerNetwork
    """Its ``input`` is the first storage that enters."""
    shapes: tuple[LayerShape, ...]
    origins: tuple[int, ...]
    """MacLayer of the whole network that each of its own is some rows of."""
    rows: Mapping[str, tuple[str, Rows]]
    """Tensor of this network -> tensor of the whole one, and which of its rows."""
    name: str

    def own(self, tensor: str) -> str:
        """This network's name for a tensor of the whole one."""
        return own_name(tensor, self.name)


def own_name(tensor: str, piece: str) -> str:
    return f"{tensor} {piece}"


def pieces(flow: Flow, span: range, bands: int, segment: int) -> list[Piece]:
    """The bands of the segment of layers ``span``, ``segment`` its number."""
    rows = band_rows(flow, span, bands)
    return [_piece(flow, span, of_band, f"[{segment}.{band}]") for band, of_band in enumerate(rows)]


def _piece(flow: Flow, span: range, rows: Mapping[str, Rows], name: str) -> Piece:
    network, views = flow.network, flow.storage.views
    indices = {shape.layer.name: shape.index for shape in flow.shapes}
    tensors = dict[str, TensorSpec]()
    places = dict[str, tuple[str, Rows]]()

    def named(tensor: str) -> str:
        if tensor not in views:  # logits, which no band has a part of
            tensors[tensor] = network.tensors[tensor]
            return tensor
        own, spec, own_rows = (
            own_name(tensor, name),
            network.tensors[tensor],
            rows[flow.root(tensor)],
        )
        shape = (spec.shape[0], len(own_rows), spec.shape[2])
        tensors[own] = dataclasses.replace(spec, name=own, shape=shape)
        places[own] = (tensor, own_rows)
        return own

    entering = [named(root) for root in flow.entering(span)]
    layers, origins = list[Layer](), list[int]()
    for layer in (network.layers[i] for i in span):
        inputs = tuple(map(named, flow.inputs(layer)))
        output, own = named(layer.output), own_name(layer.name, name)
        if isinstance(layer, ConcatLayer):
            layers.append(ConcatLayer(own, inputs, output))
            continue
        above = (
            layer.padding[0]
            if layer.raw
            else _rows_above(layer, places[output][1], places[inputs[0]][1])
        )
        sources = tuple(
            dataclasses.replace(source, tensor=tensor)
            for source, tensor in zip(layer.sources, inputs, strict=True)
        )
        padding = (above, layer.padding[1])
        layers.append(
            dataclasses.replace(layer, name=own, sources=sources, output=output, padding=padding)
        )
        origins.append(indices[layer.name])
    inside = IntegerNetwork(network.name, entering[0], tuple(layers), tensors, network.scale_bits)
    return Piece(inside, layer_shapes(inside), tuple(origins), places, name)


def _rows_above(layer: MacLayer, out: Rows, source: Rows) -> int:
    """Padding above a band: rows from the first tap of its first output to its first input row;
    negative where the input band begins before that."""
    step = layer.pool.stride[0] if layer.pool else 1
    return source.start - (out.start * step * layer.stride[0] - layer.padding[0])
