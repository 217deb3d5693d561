"""Buffers of activation memory: concatenated tensors as views of one buffer, and lifetimes.

A buffer (storage) holds one tensor, or the result of a concat with all its inputs side by side in
each pixel, so that concat takes no instruction. Each stored tensor is a view: some words of each
pixel of a storage. Lifetimes, from the first step that uses a storage to the last, are the input of
the allocation of addresses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.slots import SlotMap, contiguous, stacked
from codesign.compiler.mapping.tiles import TileMap, tile_map
from models.integer.network import ConcatLayer, IntegerNetwork
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class View:
    """A tensor as ``slots.words`` words of each pixel of a storage, from word ``offset`` on.

    Made by ``storage_plan``.
    """

    storage: str
    offset: int
    slots: SlotMap


@dataclass(frozen=True)
class Storage:
    """A buffer of activation memory with its lifetime, at the same addresses in every bank.

    Made by ``storage_plan``; ``tiling`` makes those of bands.
    """

    pixel_words: int
    """Words per pixel."""
    first: int
    """First step that uses it: step 0 is the LOAD, step i + 1 MacLayer i."""
    last: int
    """Last step that uses it, counted alike; it is alive in both and between."""


@dataclass(frozen=True)
class StoragePlan:
    """Tiles, tensor placement and buffers of a network, which do not depend on the strips.

    Made by ``storage_plan``.
    """

    tiles: tuple[TileMap, ...]
    """Output-channel tiles of each MacLayer, by its index."""
    views: Mapping[str, View]
    """Place of each stored tensor, by its name."""
    storages: Mapping[str, Storage]
    """Buffers by the name of the outermost tensor that each holds."""


def storage_plan(
    network: IntegerNetwork, shapes: Sequence[LayerShape], config: NpuConfig
) -> StoragePlan:
    """Choose the tiles of each MacLayer, and assign each stored tensor to a storage.

    shapes: loop bounds of the network's MacLayers, in execution order.
    """
    slots, tiles = _slots_and_tiles(network, shapes, config)
    views = _views(network, slots)
    pixel_words = _pixel_words(shapes, tiles, views)
    spans = _spans(network, shapes, views)
    storages = {name: Storage(pixel_words[name], *spans[name]) for name in pixel_words}
    return StoragePlan(tiles, views, storages)


def _slots_and_tiles(
    network: IntegerNetwork, shapes: Sequence[LayerShape], config: NpuConfig
) -> tuple[dict[str, SlotMap], tuple[TileMap, ...]]:
    channels = network.tensors[network.input].shape[0]
    slots = {network.input: contiguous(config.lanes, channels, -(-channels // config.lanes))}
    tiles: list[TileMap] = []
    for layer in network.layers:
        if isinstance(layer, ConcatLayer):
            slots[layer.output] = stacked(tuple(slots[name] for name in layer.inputs))
            continue
        shape = shapes[len(tiles)]
        tile = tile_map(config, shape, [slots[source.tensor] for source in layer.sources])
        tiles.append(tile)
        if not layer.raw:
            words = tile.tiles * tile.out_words
            slots[layer.output] = contiguous(config.lanes, shape.out_shape[0], words)
    return slots, tuple(tiles)


def _views(network: IntegerNetwork, slots: Mapping[str, SlotMap]) -> dict[str, View]:
    """Return by name each tensor's place in its outermost concat, or in a storage of its own.

    slots: places of the channels of each stored tensor.
    """
    places: dict[str, tuple[str, int]] = {}
    for layer in reversed(network.layers):
        if isinstance(layer, ConcatLayer):
            root, offset = places.get(layer.output, (layer.output, 0))
            for name in layer.inputs:
                places[name] = (root, offset)
                offset += slots[name].words
    return {name: View(*places.get(name, (name, 0)), slots[name]) for name in slots}


def _pixel_words(
    shapes: Sequence[LayerShape], tiles: Sequence[TileMap], views: Mapping[str, View]
) -> dict[str, int]:
    """Return the words per pixel of each storage, by its name.

    A layer walks all its sources with the same address step per pixel, so their storages all get
    the width of the widest. The windows of its tiles stay within the pixel, which is widened where
    needed, so that no read leaves the storage. A source of several digits has its words once for
    each digit.
    """
    words: dict[str, int] = {}
    for view in views.values():
        words[view.storage] = max(words.get(view.storage, 0), view.offset + view.slots.words)
    tied: list[set[str]] = []
    for shape, tile in zip(shapes, tiles, strict=True):
        sources = [views[source.tensor] for source in shape.layer.sources]
        for i, view in enumerate(sources):
            digits = view.offset + (tile.digits - 1) * view.slots.words
            reach = digits + max(tile.reach(i), view.slots.words)
            words[view.storage] = max(words[view.storage], reach)
        names = {view.storage for view in sources}
        if len(names) > 1:
            joined = [group for group in tied if group & names]
            tied = [group for group in tied if not group & names]
            tied.append(names.union(*joined))
    for group in tied:
        widest = max(words[name] for name in group)
        words.update(dict.fromkeys(group, widest))
    return words


def _spans(
    network: IntegerNetwork, shapes: Sequence[LayerShape], views: Mapping[str, View]
) -> dict[str, tuple[int, int]]:
    """Return (first, last) step that uses each storage, by its name, both included.

    Step 0 is the LOAD, step i + 1 MacLayer i.
    """
    spans = {views[network.input].storage: (0, 0)}
    for step, shape in enumerate(shapes, start=1):
        names = [source.tensor for source in shape.layer.sources]
        if not shape.layer.raw:
            names.append(shape.layer.output)
        for name in names:
            storage = views[name].storage
            spans[storage] = (spans.get(storage, (step, step))[0], step)
    return spans
