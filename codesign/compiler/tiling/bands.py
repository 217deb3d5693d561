"""Bands of a segment: the rows of each tensor that a few output rows of fused layers depend on.

A segment is a range of successive layers. Tensors that enter it come from external memory or, the
input image, from the host; tensors that leave it go to external memory; all others exist on chip,
one band of rows at a time. A band's rows follow from its output rows by going back through the
layers (receptive fields). Rows that neighbouring bands both need (the halo of a kernel) are loaded
or computed for each of them. A piece is a band as an integer network of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from codesign.compiler.mapping.shapes import LayerShape, layer_shapes
from codesign.compiler.mapping.storage import StoragePlan
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer, TensorSpec, extent

Rows = range
Layer = MacLayer | ConcatLayer


@dataclass(frozen=True)
class Flow:
    """Data flow of a network: the layers that write and read each storage.

    Layers are counted with concats, by their position in ``network.layers``. Made by
    ``tiling.tiled.tiled``.
    """

    network: IntegerNetwork
    shapes: tuple[LayerShape, ...]
    storage: StoragePlan

    def root(self, tensor: str) -> str:
        """Return the name of the storage that holds a stored tensor (any but the logits)."""
        return self.storage.views[tensor].storage

    def inputs(self, layer: Layer) -> list[str]:
        """Return the names of the tensors that a layer reads, in its order."""
        if isinstance(layer, ConcatLayer):
            return list(layer.inputs)
        return [source.tensor for source in layer.sources]

    def uses(self, layer: Layer) -> set[str]:
        """Return the names of the storages that a layer reads."""
        return {self.root(name) for name in self.inputs(layer)}

    def makes(self, layer: Layer) -> str | None:
        """Return the name of the storage that a layer writes; None for the raw layer (logits)."""
        if isinstance(layer, MacLayer) and layer.raw:
            return None
        return self.root(layer.output)

    def cuts(self) -> list[int]:
        """Return the layer positions before which a segment may begin, and the network's end.

        Ascending, from 0 to the number of layers.
        Layers that write one storage stay in one segment, as do the layers that read the image,
        together with all layers between them.
        """
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
        """Return the storages that layers of ``span`` read and none of them writes.

        Names in order of the first layer that reads them, sorted where one layer reads several;
        span: positions in ``network.layers``.
        """
        layers = [self.network.layers[i] for i in span]
        made = {self.makes(layer) for layer in layers}
        found = dict.fromkeys(r for layer in layers for r in sorted(self.uses(layer)))
        return [root for root in found if root not in made]

    def leaving(self, span: range) -> list[str]:
        """Return the storages that the layers of ``span`` write and layers behind it read.

        Names in order of the first layer that writes them; span: positions in ``network.layers``.
        """
        later = self.network.layers[span.stop :]
        wanted = set[str]().union(*(self.uses(layer) for layer in later))
        made = dict.fromkeys(self.makes(self.network.layers[i]) for i in span)
        return [root for root in made if root is not None and root in wanted]


def band_rows(flow: Flow, span: range, bands: int) -> list[dict[str, Rows]]:
    """Return for each of ``bands`` bands the rows of every storage that it reads or computes.

    Dictionaries are by storage name. span: positions of the segment's layers; bands: at most the
    rows of the tensors that leave it, whose rows are shared out evenly.
    Each band computes at least its share of the tensors that leave the segment, and of all others
    the rows on which that share depends; logits depend on all rows of what their layer reads. A
    layer of two sources needs the same rows of both, as it walks both with the same steps.
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
    """Add to ``rows`` the input rows that a layer reads for the output rows that it computes.

    rows: storage -> rows needed so far, changed in place; the rows of each source grow to one
    range. Nothing changes for a concat, or if no output rows of the layer are needed.
    """
    if isinstance(layer, ConcatLayer):  # its inputs lie in the same storage as its output
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
    """Return the rows of an input of ``height`` rows on which the output rows ``out`` depend.

    out: rows of the layer's output after max pooling, at least one. Rows outside the input are left
    out, but there is at least one, even if ``out`` depends on padding alone.
    """
    window, step = (layer.pool.kernel[0], layer.pool.stride[0]) if layer.pool else (1, 1)
    low = out.start * step * layer.stride[0] - layer.padding[0]
    high = ((out.stop - 1) * step + window - 1) * layer.stride[0] - layer.padding[0]
    high += extent(layer)[0]
    low = min(max(low, 0), height - 1)
    return range(low, max(low + 1, min(high, height)))


def joined(a: Rows, b: Rows) -> Rows:
    """Return the smallest range of rows that contains both."""
    return range(min(a.start, b.start), max(a.stop, b.stop))


@dataclass(frozen=True)
class Piece:
    """One band of a segment as a network of its own, whose tensors are rows of the whole one's.

    Made by ``pieces``.
    """

    network: IntegerNetwork
    """The band's layers; its ``input`` is its part of the first storage in ``Flow.entering``."""
    shapes: tuple[LayerShape, ...]
    """Loop bounds of its MacLayers."""
    origins: tuple[int, ...]
    """Indices of the whole network's MacLayers of which its own, in this order, compute rows."""
    rows: Mapping[str, tuple[str, Rows]]
    """Own name of a stored tensor -> (tensor of the whole network, which of its rows it holds)."""
    name: str
    """Suffix of its names: "[segment.band]"."""

    def own(self, tensor: str) -> str:
        """Return this piece's name for a stored tensor of the whole network."""
        return own_name(tensor, self.name)


def own_name(tensor: str, piece: str) -> str:
    """Return the name of a tensor or layer of the whole network in the piece named ``piece``.

    piece: suffix "[segment.band]" (``Piece.name``). The logits' tensor keeps its name instead.
    """
    return f"{tensor} {piece}"


def pieces(flow: Flow, span: range, bands: int, segment: int) -> list[Piece]:
    """Return the segment of layers ``span``, cut into ``bands`` bands, as networks of their own.

    span: positions in the network's layers; segment: its number, for the names. Bands are numbered
    from 0, from the top down.
    """
    rows = band_rows(flow, span, bands)
    return [_piece(flow, span, of_band, f"[{segment}.{band}]") for band, of_band in enumerate(rows)]


def _piece(flow: Flow, span: range, rows: Mapping[str, Rows], name: str) -> Piece:
    network, views = flow.network, flow.storage.views
    indices = {shape.layer.name: shape.index for shape in flow.shapes}
    tensors = dict[str, TensorSpec]()
    places = dict[str, tuple[str, Rows]]()

    def named(tensor: str) -> str:
        if tensor not in views:  # logits, which are not cut into bands
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
    """Return the padding above a band, in rows of its input.

    That is the distance from the first tap of its first output row to its first input row; it is
    negative if the input band begins above that tap. out, source: rows of the whole network's
    output (after max pooling) and input that the band holds.
    """
    step = layer.pool.stride[0] if layer.pool else 1
    return source.start - (out.start * step * layer.stride[0] - layer.padding[0])
