"""The compiler's schedule in closed form, for thousands of (network, NPU) pairs at a time.

Follows codesign.compiler (tiles, strips, storage) on columns instead of objects. Exact in cycles
for chains with residual adds, which is what the shipped search spaces hold; concats are seen as
what their parts are. ``codesign.compiler.plan`` has the last word on every design that is kept.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.cost.layers import LayerTable
from codesign.cost.strips import Work, fastest_strips
from codesign.cost.table import ConfigTable
from codesign.cost.unfold import unfolded, unfolds
from rtl_gen import timing
from rtl_gen.config import DEPTH_RANGES, MULTIPLIERS, SPARSITIES, STREAM_BITS, NpuConfig
from rtl_gen.isa import Opcode, instruction_words
from rtl_gen.packing import COLUMNS

Ints = NDArray[np.int64]
_PIPELINE = (
    "pixels", "lanes", "weight_digit_bits", "activation_bits", "accumulator_bits", "scale_bits",
    "multiplier", "depthwise_taps", "sparsity",
)  # fmt: skip
"""Knobs that can change the number of pipeline stages, or the fields of an instruction."""
_ANY = NpuConfig()
"""All instructions but LAYER are as long in every NPU."""


@dataclass(frozen=True, eq=False)
class ScheduleTable:
    """[n] int64: cycles of one image, and the words that each memory must hold.

    The memories' names are those of NpuConfig's depths.
    """

    cycles: Ints
    activation_depth: Ints
    weight_depth: Ints
    channel_depth: Ints
    result_depth: Ints
    program_depth: Ints

    def fits(self) -> NDArray[np.bool_]:
        """[n] whether every memory stays within what NpuConfig allows."""
        inside = np.ones(len(self.cycles), dtype=np.bool_)
        for name, (_, high) in DEPTH_RANGES.items():
            inside &= getattr(self, name) <= high
        return inside

    def where(self, mine: NDArray[np.bool_], other: ScheduleTable) -> ScheduleTable:
        """Row by row: of this table where ``mine`` [n], else of ``other``."""
        names = [field.name for field in dataclasses.fields(self)]
        return ScheduleTable(
            **{n: np.where(mine, getattr(self, n), getattr(other, n)) for n in names}
        )

    def depths(self) -> dict[str, Ints]:
        """Smallest legal depths: powers of two, clipped to what NpuConfig allows."""
        return {
            name: np.clip(_power_of_two(getattr(self, name)), low, high)
            for name, (low, high) in DEPTH_RANGES.items()
        }


def _power_of_two(words: Ints) -> Ints:
    exponent = np.ceil(np.log2(np.maximum(words, 1)))
    return np.left_shift(np.int64(1), exponent.astype(np.int64))


def _ceil(a: Ints, b: Ints | int) -> Ints:
    result: Ints = -(-a // b)
    return result


@dataclass(frozen=True, eq=False)
class _Tiles:
    """codesign.compiler.tiles.TileMap as [n, slots] columns."""

    tiles: Ints
    chunks: Ints
    taps: Ints
    fills: Ints
    """Cycles more of a tile that comes first in its row of positions."""
    pixel_words: Ints


def schedule(layers: LayerTable, npu: ConfigTable) -> ScheduleTable:
    """Cycles and memory use of network i on NPU i; depths of ``npu`` are not looked at.

    Of the ways to send the image (codesign.compiler.unfold) the fastest that fits.
    """
    kinds = _kinds(npu)
    best = _schedule(layers, npu, kinds)
    for rows in (False, True):
        possible = unfolds(layers, rows=rows)
        if possible.any():
            other = _schedule(unfolded(layers, rows=rows), npu, kinds)
            faster = (other.cycles < best.cycles) | ~best.fits()
            best = best.where(~(possible & other.fits() & faster), other)
    return best


def _schedule(layers: LayerTable, npu: ConfigTable, kinds: _Kinds) -> ScheduleTable:
    """The image as ``layers`` has it."""
    tiles = _tiles(layers, npu)
    pixel_words = _ceil(layers.in_channels[:, 0], npu.lanes)
    strips = fastest_strips(layers, npu.pixels, _work(layers, tiles))
    in_rows = np.minimum(strips.rows[:, 0], layers.in_rows[:, 0])
    in_words = in_rows * layers.in_cols[:, 0] * pixel_words
    active = layers.active == 1
    raw = layers.raw == 1
    count = active.sum(axis=1)
    fixed = count * kinds.layer_cycles
    return ScheduleTable(
        cycles=strips.cycles + fixed + _stream_cycles(layers, npu, tiles, pixel_words),
        activation_depth=_activation_words(layers, tiles, strips.rows[:, 1:], in_words),
        weight_depth=(tiles.tiles * tiles.taps * active).sum(axis=1),
        channel_depth=(tiles.tiles * tiles.chunks * active).sum(axis=1),
        result_depth=(tiles.tiles * tiles.chunks * raw).sum(axis=1),
        program_depth=_program_words(count, kinds.layer_words),
    )


def _work(t: LayerTable, tiles: _Tiles) -> Work:
    per_row = tiles.tiles * t.out_cols * t.pool_area
    columns = (
        t.active, t.out_rows, per_row, tiles.taps, tiles.chunks, tiles.tiles, tiles.fills
    )  # fmt: skip
    return Work(*(np.ascontiguousarray(column.T, dtype=np.float64) for column in columns))


def _program_words(layers: Ints, layer_words: Ints) -> Ints:
    """Of the traced program: LOAD, (LAYER, STORE of all but the last)..., EMIT, END."""
    words = {opcode: instruction_words(_ANY, opcode) for opcode in Opcode}
    rest = words[Opcode.LOAD] + words[Opcode.EMIT] + words[Opcode.END]
    return rest + layers * layer_words + (layers - 1) * words[Opcode.STORE]


def _phases(t: LayerTable, npu: ConfigTable) -> Ints:
    """[n, slots] codesign.compiler.phases where channels fill words one after another."""
    width = np.minimum(np.where(t.diagonal == 1, 1, t.in_channels), npu.group[:, None])
    kept, group = np.maximum(t.kept, 1), np.maximum(t.group, 1)
    most = width // group * kept + np.minimum(width % group, kept)
    return np.maximum(_ceil(most, npu.kept[:, None]), 1)


def _tiles(t: LayerTable, npu: ConfigTable) -> _Tiles:
    """The fastest tile size of every layer, as the compiler chooses it."""
    lanes, units = npu.lanes[:, None], npu.post_units[:, None]
    per_word, most = lanes // units, npu.columns[:, None] // lanes
    passes = _ceil(np.maximum(t.weight_bits, 2), npu.weight_digit_bits[:, None])
    kernel = passes * t.kernel_rows * t.kernel_cols
    out_words = np.maximum(_ceil(t.out_channels, lanes), 1)
    size = _ceil(out_words, _ceil(out_words, most))
    diagonal = t.diagonal == 1
    if diagonal.any():
        size = np.where(diagonal, _diagonal_size(t, npu, kernel, out_words), size)
    in_words = np.where(diagonal, size, _ceil(t.in_channels, lanes))
    taps = kernel * _phases(t, npu) * t.sources * in_words
    tiles, chunks = _ceil(t.out_channels, size * lanes), size * per_word
    raw = t.raw == 1
    raw_tiles = np.maximum(_ceil(t.out_channels, npu.columns[:, None]), 1)
    found = _Tiles(
        tiles=np.where(raw, raw_tiles, tiles),
        chunks=np.where(raw, _ceil(t.out_channels, raw_tiles * units), chunks),
        taps=taps,
        fills=np.zeros_like(taps),
        pixel_words=np.where(raw, 0, tiles * size),
    )
    return _with_reuse(t, npu, passes, found) if (npu.depthwise_taps > 1).any() else found


def _with_reuse(t: LayerTable, npu: ConfigTable, passes: Ints, plain: _Tiles) -> _Tiles:
    """``plain``, with column reuse where that takes fewer cycles a row."""
    words, per_word = _ceil(t.out_channels, npu.lanes[:, None]), npu.lanes // npu.post_units
    taps = passes * t.kernel_rows * t.reuse_cols
    chunks = np.broadcast_to(per_word[:, None], taps.shape)
    reused = _Tiles(words, chunks, taps, taps * t.reuse_fills, words)
    possible = (npu.depthwise_taps[:, None] > 1) & (t.reuse_cols > 0)
    better = possible & (_row_cycles(t, npu, reused) < _row_cycles(t, npu, plain))
    return _Tiles(
        **{
            field.name: np.where(better, getattr(reused, field.name), getattr(plain, field.name))
            for field in dataclasses.fields(_Tiles)
        }
    )


def _row_cycles(t: LayerTable, npu: ConfigTable, tiles: _Tiles) -> Ints:
    """Of one row of outputs with all pixels in use, without pooling."""
    drain = npu.pixels[:, None] * tiles.chunks
    start = np.maximum(tiles.taps + tiles.fills, drain)
    cycles: Ints = tiles.tiles * (start + (t.out_cols - 1) * np.maximum(tiles.taps, drain))
    return cycles


def _diagonal_size(t: LayerTable, npu: ConfigTable, kernel: Ints, out_words: Ints) -> Ints:
    """Words per tile of layers whose tiles read only their own channels: all sizes are tried."""
    lanes = npu.lanes[:, None]
    most = np.minimum(npu.columns[:, None] // lanes, out_words)
    best, chosen = np.full(out_words.shape, np.inf), np.ones(out_words.shape, dtype=np.int64)
    drain = (npu.pixels * (npu.lanes // npu.post_units))[:, None]
    for size in range(1, int((npu.columns // npu.lanes).max()) + 1):
        tiles = _ceil(t.out_channels, size * lanes)
        pace = np.maximum(kernel * t.sources * size, drain * size)
        # Cycles, then padding, then tiles, as one number.
        cost = tiles * pace + tiles * size * 1e-4 + tiles * 1e-8
        better = (size <= most) & (cost < best)
        best, chosen = np.where(better, cost, best), np.where(better, size, chosen)
    return chosen


@dataclass(frozen=True, eq=False)
class _Kinds:
    """[n] what each LAYER takes on any plan."""

    layer_cycles: Ints
    layer_words: Ints
    """Of program memory."""


def _kinds(npu: ConfigTable) -> _Kinds:
    """Asked once for each pipeline that differs."""
    key = np.stack([getattr(npu, name) for name in _PIPELINE], axis=1)
    kinds, inverse = np.unique(key, axis=0, return_inverse=True)
    numbers = np.array([_kind(*map(int, kind)) for kind in kinds], dtype=np.int64)
    return _Kinds(*numbers[inverse.reshape(-1)].T)


@functools.cache
def _kind(*values: int) -> tuple[int, int]:
    knobs: dict[str, Any] = dict(zip(_PIPELINE, values, strict=True))
    knobs["multiplier"] = MULTIPLIERS[knobs["multiplier"]]
    knobs["sparsity"] = tuple(SPARSITIES)[knobs["sparsity"]]
    config = NpuConfig(columns=COLUMNS * knobs["lanes"], post_units=1, **knobs)
    cycles = timing.flush_cycles(config) + timing.overhead_cycles(config, Opcode.LAYER)
    return cycles, instruction_words(config, Opcode.LAYER)


def _stream_cycles(t: LayerTable, npu: ConfigTable, tiles: _Tiles, pixel_words: Ints) -> Ints:
    """LOAD, EMIT and END."""
    used = np.minimum(t.in_channels[:, 0], npu.lanes)
    beats = _ceil(used * npu.activation_bits, STREAM_BITS)
    load = t.in_rows[:, 0] * t.in_cols[:, 0] * pixel_words * beats
    results = (tiles.tiles * tiles.chunks * (t.raw == 1)).sum(axis=1)
    emit = results * (1 + npu.post_units)
    overhead = sum(timing.overhead_cycles(_ANY, opcode) for opcode in (Opcode.LOAD, Opcode.EMIT))
    return load + emit + overhead + timing.END_CYCLES + timing.START_CYCLES


def _activation_words(t: LayerTable, tiles: _Tiles, rows: Ints, in_words: Ints) -> Ints:
    """[n] words alive at the worst moment: a lower bound of what placement finds, mostly met."""
    made = np.minimum(rows, t.out_rows) * t.out_cols * tiles.pixel_words
    words = np.concatenate([in_words[:, None], made], axis=1)
    alive = words[:, :-1] + words[:, 1:]
    every = np.arange(len(t))
    for slot in np.flatnonzero(t.skip.any(axis=0)):
        held = words[every, slot - t.skip[:, slot]]
        for back in range(int(t.skip[:, slot].max())):
            longer = t.skip[:, slot] > back
            alive[:, slot - back] += np.where(longer, held, 0)
    most: Ints = np.max(alive * t.active, axis=1)
    return most
