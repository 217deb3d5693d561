"""Parts: the layers of a network as runs of tiles, each with its place in weight memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.tiles import Extent, TileMap
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS


@dataclass(frozen=True)
class TileRun:
    """Tiles ``first`` ... + ``tiles`` - 1 of MacLayer ``layer``, all walked alike."""

    layer: int
    first: int
    tiles: int
    extent: Extent


@dataclass(frozen=True)
class Part(TileRun):
    """One LAYER instruction: a run whose weights are on chip together."""

    weight_base: int
    """Address of its weights in weight memory."""
    weight_words: int
    first_burst: int = 0
    bursts: int = 0
    """Where memory holds the weights; no bursts: they are on chip from the start."""
    held: bool = False
    """Whether an earlier part has left its weights there already."""

    @property
    def fetched(self) -> bool:
        return self.bursts > 0 and not self.held


def whole_layers(tiles: Sequence[TileMap]) -> tuple[TileRun, ...]:
    return tuple(TileRun(layer, 0, tile.tiles, tile.extent) for layer, tile in enumerate(tiles))


def parts(
    config: NpuConfig,
    tiles: Sequence[TileMap],
    runs: Sequence[TileRun],
    origins: Sequence[int] | None = None,
) -> tuple[Part, ...]:
    """Runs whole, one after another in weight memory, where they fit or where there is no memory
    port. Else cut so that each part fits one half of weight memory: while a part runs from one
    half, the next is fetched into the other.

    origins: per layer the first one with the same weights, which are stored once; none: itself.
    A tile that is larger than the half stays one part: the caller compares ``words_needed``.
    """
    whole, bases, base = list[Part](), dict[TileRun, int](), 0
    for run in runs:
        words = run.tiles * tiles[run.layer].taps_of(run.extent)
        weights = _weights(run, origins)
        held = weights in bases
        if not held:
            bases[weights] = base
            base += words
        place = (bases[weights], words)
        whole.append(Part(run.layer, run.first, run.tiles, run.extent, *place, held=held))
    if not config.memory_port_bits or base <= config.weight_depth:
        return tuple(whole)
    half = config.weight_depth // 2
    firsts, burst, halves, now = dict[TileRun, int](), 0, list[TileRun | None]([None, None]), 1
    fetched = list[Part]()
    cut = (piece for run in runs for piece in _cut(run, tiles[run.layer], half))
    for run in cut:
        words = run.tiles * tiles[run.layer].taps_of(run.extent)
        bursts, weights = part_bursts(config, words), _weights(run, origins)
        if weights not in firsts:
            firsts[weights] = burst
            burst += bursts
        held = weights in halves
        now = halves.index(weights) if held else 1 - now
        halves[now] = weights
        at = (half * now, words, firsts[weights], bursts, held)
        fetched.append(Part(run.layer, run.first, run.tiles, run.extent, *at))
    return tuple(fetched)


def _weights(run: TileRun, origins: Sequence[int] | None) -> TileRun:
    """The run by the weights that it takes."""
    return dataclasses.replace(run, layer=origins[run.layer]) if origins else run


def _cut(run: TileRun, tile: TileMap, half: int) -> Iterator[TileRun]:
    """Runs of as few parts as fit ``half`` words, evenly cut."""
    count = -(-run.tiles // max(half // tile.taps_of(run.extent), 1))
    size = -(-run.tiles // count)
    for skipped in range(0, run.tiles, size):
        some = min(size, run.tiles - skipped)
        yield TileRun(run.layer, run.first + skipped, some, run.extent)


def stored(cut: Sequence[Part], origins: Sequence[int] | None) -> tuple[Part, ...]:
    """Of parts with the same weights the first, in order."""
    found = dict[TileRun, Part]()
    for part in cut:
        run = TileRun(part.layer, part.first, part.tiles, part.extent)
        found.setdefault(_weights(run, origins), part)
    return tuple(found.values())


def part_bursts(config: NpuConfig, weight_words: int) -> int:
    """Bursts of so many weight words; each part begins with one of its own."""
    return -(-weight_words * config.fetched_word_beats // BURST_BEATS)


def words_needed(config: NpuConfig, cut: Sequence[Part]) -> int:
    """Words of weight memory: all weights, or twice the largest part with what fills its bursts."""
    if not any(part.bursts for part in cut):
        return sum(part.weight_words for part in cut if not part.held)
    beats = max(part.bursts for part in cut) * BURST_BEATS
    return 2 * max(*(part.weight_words for part in cut), -(-beats // config.fetched_word_beats))
