"""Loop tiling over output channels, and the window of input words that each tile reads.

A tile is a group of output channels, at most one per array column, that are computed together
(output stationary); a layer's tiles run one after another. For each convolution output a tile runs
the reduction loop over kernel positions and input words (taps), once for each weight digit
(bit-serial pass). A tap takes one cycle, or several (phases) with N:M sparsity. Tiles of grouped
layers read different channels: their window of input words moves by a constant step from tile to
tile, which the address generator can do, and weights of channels in it that are not connected are
0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.phases import phases
from codesign.compiler.mapping.reuse import ColumnWalk, column_walk
from codesign.compiler.mapping.shapes import LayerShape
from codesign.compiler.mapping.slots import SlotMap
from models.integer.network import MacLayer
from rtl_gen.config import NpuConfig

Pair = tuple[int, int]


@dataclass(frozen=True)
class Extent:
    """Bounds of the reduction loop that a LAYER walks for each of its tiles.

    These are all of a tile's taps, or those that are left without zero weights (zeros.needs).

    >>> extent = Extent(rows=range(3), cols=range(1, 3), words=range(0, 4, 2), passes=2)
    >>> len(extent.rows) * len(extent.cols) * len(extent.words) * extent.passes
    24
    """

    rows: range
    """Kernel rows."""
    cols: range
    """Kernel columns; with column reuse, positions among the new columns."""
    words: range
    """Input words of each source, counted from the first word of the tile's window."""
    passes: int
    """Number of weight digits, from the least significant one on."""


@dataclass(frozen=True)
class TileMap:
    """Output-channel tiles of one layer, and the window of input words that each tile reads.

    Array column m computes channel ``t * channels + m`` in tile t. From source i the tile reads the
    ``words`` words of each pixel that begin at ``first_words[i] + t * step_words``, counted from
    the tensor's first word. Made by ``tile_map``.

    >>> tile = TileMap(
    ...     tiles=2, channels=8, chunks=8, out_words=2, words=2, first_words=(0,), step_words=0,
    ...     passes=2, phases=1, kernel=(3, 3),
    ... )
    >>> tile.taps, tile.weight_words  # 2 passes x 3 x 3 kernel positions x 2 words; 2 tiles
    (36, 72)
    """

    tiles: int
    channels: int
    """Output channels of a tile; the last tile may have fewer."""
    chunks: int
    """Drain steps per pixel and tile, each of ``post_units`` output channels."""
    out_words: int
    """Activation words that a tile writes per pixel, padding included; 0 for raw layers."""
    words: int
    """Input words per pixel and source that a tile reads."""
    first_words: tuple[int, ...]
    """First input word of tile 0, for each source."""
    step_words: int
    """Input words by which the window moves from tile to tile."""
    passes: int
    """Bit-serial passes, one per weight digit."""
    phases: int
    """Weight words per tap: 1 on a dense NPU, up to ``config.most_phases`` with N:M sparsity."""
    kernel: Pair
    """Kernel rows and columns walked per convolution output; with column reuse only new columns."""
    digits: int = 1
    """Digits of the activations, each of which takes all passes; 1 if codes fit a lane."""
    binary: bool = False
    """True if all weights are +1 or -1 and the NPU takes them in one pass (field ``binary``)."""
    walk: ColumnWalk | None = None
    """Walk along a row with column reuse, in which array column m computes lane m; else None."""

    @property
    def fills(self) -> int:
        """Positions at the start of each row that fill the column history and are not drained."""
        return self.walk.fills if self.walk else 0

    @property
    def extent(self) -> Extent:
        """Bounds of the whole reduction loop, whatever the weights are."""
        rows, cols = self.kernel
        return Extent(range(rows), range(cols), range(self.words), self.passes)

    @property
    def taps(self) -> int:
        """Cycles of one tile per convolution output (before pooling)."""
        return self.taps_of(self.extent)

    def taps_of(self, extent: Extent) -> int:
        """Return the cycles of a tile per convolution output, walking ``extent`` only.

        A max-pooling window has several of these outputs. Each cycle reads one weight word; each
        activation digit reads all of them.
        """
        return self.digits * self.words_of(extent)

    def words_of(self, extent: Extent) -> int:
        """Return the weight words of a tile that walks ``extent`` only."""
        inputs = len(extent.rows) * len(extent.cols) * len(self.first_words) * len(extent.words)
        return extent.passes * self.phases * inputs

    @property
    def weight_words(self) -> int:
        """Weight words of the whole layer."""
        return self.tiles * self.words_of(self.extent)

    @property
    def channel_words(self) -> int:
        """Words of the layer's channel table: one per tile and chunk."""
        return self.tiles * self.chunks

    def reach(self, source: int) -> int:
        """Return how many words of a pixel, from the tensor's first one on, hold all that is read.

        source: position of the tensor among the layer's sources.
        """
        return self.first_words[source] + (self.tiles - 1) * self.step_words + self.words


def tile_map(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> TileMap:
    """Return the fastest tiling of a layer, each of whose sources has its slots in ``sources``.

    For ungrouped layers the fewest tiles are best, evened out so that the last one is not mostly
    padding. For grouped layers every tile size in whole output words is tried, as a smaller tile
    may read fewer input words, and column reuse where the NPU has it.
    """
    layer = shape.layer
    if layer.raw and layer.groups == 1:
        return _raw(config, shape, sources)
    out_words = -(-shape.out_shape[0] // config.lanes)
    if layer.groups == 1:
        tiles = -(-out_words // config.words_per_tile)
        return _tiled(config, shape, sources, -(-out_words // tiles))
    sizes = range(1, min(config.words_per_tile, out_words) + 1)
    options = [_tiled(config, shape, sources, size) for size in sizes]
    best = min(options, key=lambda option: _cost(config, shape, option))
    if layer.raw:
        return dataclasses.replace(best, out_words=0)
    reused = _reused(config, shape, sources) if config.reuses_columns else None
    if reused and _cost(config, shape, reused)[0] < _cost(config, shape, best)[0]:
        return reused
    return best


def _cost(config: NpuConfig, shape: LayerShape, option: TileMap) -> tuple[int, int, int]:
    """Return the key to minimise: (cycles of a row of outputs, output words per pixel, tiles).

    Cycles are those of all tiles with all pixel lanes drained, an estimate without issue and flush.
    """
    drain = config.pixels * option.chunks
    positions = shape.out_shape[2] * shape.pool[0] * shape.pool[1]
    start = max(option.taps * (1 + option.fills), drain)
    cycles = option.tiles * (start + (positions - 1) * max(option.taps, drain))
    return cycles, option.tiles * option.out_words, option.tiles


def _reused(config: NpuConfig, shape: LayerShape, sources: Sequence[SlotMap]) -> TileMap | None:
    """Return tiles of one output word with column reuse, or None if the layer cannot have it.

    Every input channel must lie in the lane of its output channel, and a tile read one input word.
    """
    walk = column_walk(shape.layer, shape.in_shape[0], shape.out_shape[2])
    if walk is None or config.activation_digits(shape.in_bits) > 1:
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
    binary, digits = takes_one_pass(config, shape.layer), config.activation_digits(shape.in_bits)
    passes = 1 if binary else config.passes(shape.layer.weight_bits)
    if digits > 1:  # all weights take as many, so a pass fewer is of no use
        passes, binary = config.wide_input_passes, binary and config.wide_input_passes == 1
    return TileMap(
        tiles=tiles,
        channels=channels,
        chunks=chunks,
        out_words=out_words,
        words=words,
        first_words=first_words,
        step_words=step_words,
        passes=passes,
        phases=phases(config, shape, sources),
        kernel=shape.kernel,
        digits=digits,
        binary=binary,
    )


def takes_one_pass(config: NpuConfig, layer: MacLayer) -> bool:
    """Return True if the layer's weights of +1 and -1 can take one pass.

    The NPU must have ``binary_weights``, and the layer 1-bit weights of which none is 0, one
    source, no groups and no sparsity pattern.
    """
    dense = layer.groups == 1 and len(layer.sources) == 1 and layer.sparsity is None
    one_bit = bool(config.binary_weights) and layer.weight_bits == 1
    return one_bit and dense and bool(layer.sources[0].weights.all())


def _needs(shape: LayerShape, slots: SlotMap, tiles: int, channels: int) -> list[tuple[int, int]]:
    """Return (first, last) input word of one source that each tile needs, both included.

    slots: places of the source's channels; channels: output channels per tile. Words count from the
    tensor's first.
    """
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
    """Return the smallest window of input words that moves evenly from tile to tile.

    needs: for each source a list of the (first, last) word of each tile, both included. Returns the
    window's number of words, its step in words per tile, and its first word at tile 0 in each
    source. Step 0, a window over all words, always serves; besides it the mean step of the first
    source is tried, rounded down, and one more, each if no window begins before word 0. Of equal
    windows the smaller step is taken.
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
