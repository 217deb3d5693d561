"""Storage: concat parts as views of one block of memory, words per pixel, life times."""

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
    """A tensor as ``slots.words`` words of each pixel of a storage, from word ``offset`` on."""

    storage: str
    offset: int
    slots: SlotMap


@dataclass(frozen=True)
class Storage:
    """A block of activation memory, the same addresses in every bank."""

    pixel_words: int
    first: int
    """Step that writes it first: 0 is the LOAD, i + 1 MacLayer i."""
    last: int
    """Step that uses it last."""


@dataclass(frozen=True)
class StoragePlan:
    """What does not depend on strips: slots, tiles, storages."""

    tiles: tuple[TileMap, ...]
    """Per MacLayer."""
    views: Mapping[str, View]
    """Per stored tensor."""
    storages: Mapping[str, Storage]
    """By the name of the outermost tensor."""


def storage_plan(
    network: IntegerNetwork, shapes: Sequence[LayerShape], config: NpuConfig
) -> StoragePlan:
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
    """Each tensor's place in its outermost concat, or in a storage of its own."""
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
    """Words per pixel of each storage.

    A layer walks all its sources with one address step per pixel, so their storages get the same
    width; and its windows stay within the pixel, so that no read leaves the storage.
    """
    words: dict[str, int] = {}
    for view in views.values():
        words[view.storage] = max(words.get(view.storage, 0), view.offset + view.slots.words)
    tied: list[set[str]] = []
    for shape, tile in zip(shapes, tiles, strict=True):
        sources = [views[source.tensor] for source in shape.layer.sources]
        for i, view in enumerate(sources):
            words[view.storage] = max(words[view.storage], view.offset + tile.reach(i))
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
    """First and last step of each storage."""
    spans = {views[network.input].storage: (0, 0)}
    for step, shape in enumerate(shapes, start=1):
        names = [source.tensor for source in shape.layer.sources]
        if not shape.layer.raw:
            names.append(shape.layer.output)
        for name in names:
            storage = views[name].storage
            spans[storage] = (spans.get(storage, (step, step))[0], step)
    return spans
