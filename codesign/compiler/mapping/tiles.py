"""Tiles: how a layer's output channels are cut for the array and which input words each needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.phases import phases
from codesign.compiler.mapping.reuse import ColumnWalk, column_walk
from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.slots import SlotMap
from rtl_gen.config import NpuConfig

Pair = tuple[int, int]


@dataclass(frozen=True)
class Extent:
    """The weights of a tile that a LAYER walks. All of them, or what is left without zeros."""

    rows: range
    """Kernel rows."""
    cols: range
    """Kernel columns; with column reuse, of the new ones."""
    words: range
    """Input words of each source, counted from the tile's first one."""
    passes: int
    """Digits, from the lowest up."""


@dataclass(frozen=True)
class TileMap:
    """Output channels in tiles of ``channels``, and the window of input words of each tile.

    Column m of tile t computes channel t * channels + m. Tile t reads, from every source i, words
    ``first_words[i] + t * step_words`` ... + ``words`` - 1 of each pixel.
    """

    tiles: int
    channels: int
    chunks: int
    """Post-process steps per pixel and tile."""
    out_words: int
    """Activation words per pixel and tile; 0 for raw layers."""
    words: int
    first_words: tuple[int, ...]
    step_words: int
    passes: int
    phases: int
    """Weight words per tap and pass."""
    kernel: Pair
    """Rows and columns that are walked at each position."""
    binary: bool = False
    """Whether all weights are +1 or -1, on an NPU that takes them in one pass (isa: ``binary``)."""
    walk: ColumnWalk | None = None
    """With column reuse: how rows are walked. Column m of the array then reads lane m."""

    @property
    def fills(self) -> int:
        """Positions per row of each tile that are not drained."""
        return self.walk.fills if self.walk else 0

    @property
    def extent(self) -> Extent:
        """Everything that a tile's weights may need, whatever they are."""
        rows, cols = self.kernel
        return Extent(range(rows), range(cols), range(self.words), self.passes)

    @property
    def taps(self) -> int:
        return self.taps_of(self.extent)

    def taps_of(self, extent: Extent) -> int:
        """Cycles, and weight words, of one tile at one output position."""
        inputs = len(extent.rows) * len(extent.cols) * len(self.first_words) * len(extent.words)
        return extent.passes * self.phases * inputs

    @property
    def weight_words(self) -> int:
        return self.tiles * self.taps

    @property
    def channel_words(self) -> int:
        return self.tiles * self.chunks

    def reach(self, source: int) -> int:
        """Words of a pixel, from the tensor's first one, that the layer reads of ``source``."""
        return self.first_words[source] + (self.tiles - 1) * self.step_words + self.words


def tile_map(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> TileMap:
    """The fastest tiling of a layer whose inputs have the given slots.

    With dense weights the largest tile is best, evened out so that the last one is not mostly
    padding. Grouped layers get every tile size tried: a smaller tile may need fewer input words;
    and column reuse, where the NPU has it.
    """
    layer = shape.layer
    if layer.raw:
        return _raw(config, shape, sources)
    out_words = -(-shape.out_shape[0] // config.lanes)
    if layer.groups == 1:
        tiles = -(-out_words // config.words_per_tile)
        return _tiled(config, shape, sources, -(-out_words // tiles))
    sizes = range(1, min(config.words_per_tile, out_words) + 1)
    options = [_tiled(config, shape, sources, size) for size in sizes]
    best = min(options, key=lambda option: _cost(config, shape, option))
    reused = _reused(config, shape, sources) if config.reuses_columns else None
    if reused and _cost(config, shape, reused)[0] < _cost(config, shape, best)[0]:
        return reused
    return best


def _cost(config: NpuConfig, shape: LayerShape, option: TileMap) -> tuple[int, int, int]:
    """Cycles per row of outputs with all pixels in use, then padding, then tiles."""
    drain = config.pixels * option.chunks
    positions = shape.out_shape[2] * shape.pool[0] * shape.pool[1]
    start = max(option.taps * (1 + option.fills), drain)
    cycles = option.tiles * (start + (positions - 1) * max(option.taps, drain))
    return cycles, option.tiles * option.out_words, option.tiles


def _reused(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> TileMap | None:
    """Tiles of one word with column reuse; None where the layer cannot have it: every channel
    must lie in the lane of its output."""
    walk = column_walk(shape.layer, shape.in_shape[0], shape.out_shape[2])
    if walk is None:
        return None
    slots = sources[0]
    option = dataclasses.replace(
        _tiled(config, shape, sources, 1), walk=walk, kernel=(shape.kernel[0], walk.new)
    )
    in_place = all(slots.lane(c) == c % config.lanes for c in range(slots.channels))
    return option if in_place and option.words == 1 else None


def _raw(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> TileMap:
    channels = shape.out_shape[0]
    tiles = -(-channels // config.columns)
    chunks = -(-channels // (tiles * config.post_units))
    return _windowed(config, shape, sources, tiles, chunks, 0)


def _tiled(
    config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap], out_words: int
) -> TileMap:
    tiles = -(-shape.out_shape[0] // (out_words * config.lanes))
    chunks = out_words * config.chunks_per_word
    return _windowed(config, shape, sources, tiles, chunks, out_words)


def _windowed(
    config: NpuConfig,
    shape: LayerShape,
    sources: Sequence[SlotMap],
    tiles: int,
    chunks: int,
    out_words: int,
) -> TileMap:
    channels = chunks * config.post_units
    needs = [_needs(shape, slots, tiles, channels) for slots in sources]
    words, step_words, first_words = _linear_window(needs)
    binary = _binary(config, shape)
    return TileMap(
        tiles=tiles,
        channels=channels,
        chunks=chunks,
        out_words=out_words,
        words=words,
        first_words=first_words,
        step_words=step_words,
        passes=1 if binary else config.passes(shape.layer.weight_bits),
        phases=phases(config, shape, sources),
        kernel=shape.kernel,
        binary=binary,
    )


def _binary(config: NpuConfig, shape: LayerShape) -> bool:
    """Output channels of one tile must share their inputs, and no weight may be 0."""
    layer = shape.layer
    dense = layer.groups == 1 and len(layer.sources) == 1 and layer.sparsity is None
    one_bit = bool(config.binary_weights) and layer.weight_bits == 1
    return one_bit and dense and bool(layer.sources[0].weights.all())


def _needs(shape: LayerShape, slots: SlotMap, tiles: int, channels: int) -> list[tuple[int, int]]:
    """First and last input word that each tile needs."""
    groups, total_out, total_in = shape.layer.groups, shape.out_shape[0], shape.in_shape[0]
    if groups == 1:
        return [(slots.word(0), slots.word(total_in - 1))] * tiles
    needs = []
    for first_out in range(0, total_out, channels):
        last_out = min(first_out + channels, total_out) - 1
        first_group, last_group = first_out * groups // total_out, last_out * groups // total_out
        first_in = first_group * total_in // groups
        last_in = (last_group + 1) * total_in // groups - 1
        needs.append((slots.word(first_in), slots.word(last_in)))
    return needs


def _linear_window(
    needs: Sequence[Sequence[tuple[int, int]]],
) -> tuple[int, int, tuple[int, ...]]:
    """(words, step per tile, first word per source) of the smallest window that moves evenly.

    Step 0, the window over everything, always serves.
    """
    tiles = len(needs[0])
    steps = {0}
    if tiles > 1:
        pace = (needs[0][-1][0] - needs[0][0][0]) // (tiles - 1)
        steps |= {pace, pace + 1}
    options = []
    for step in sorted(steps):
        firsts = [min(low - t * step for t, (low, _) in enumerate(need)) for need in needs]
        lasts = [max(high - t * step for t, (_, high) in enumerate(need)) for need in needs]
        if min(firsts) >= 0:
            words = max(last - first + 1 for first, last in zip(firsts, lasts, strict=True))
            options.append((words, step, tuple(firsts)))
    return min(options)
