"""Parts: the layers of a network as runs of tiles, each with its place in weight memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codesign.compiler.tiles import Extent, TileMap
from rtl_gen import isa
from rtl_gen.config import NpuConfig


@dataclass(frozen=True)
class Run:
    """Tiles ``first`` ... + ``tiles`` - 1 of MacLayer ``layer``, all walked alike."""

    layer: int
    first: int
    tiles: int
    extent: Extent


@dataclass(frozen=True)
class Part(Run):
    """One LAYER instruction: a run whose weights are on chip together."""

    weight_base: int
    """Address of its weights in weight memory."""
    weight_words: int
    first_burst: int = 0
    bursts: int = 0
    """Where memory holds the weights; no bursts: they are on chip from the start."""


def whole_layers(tiles: Sequence[TileMap]) -> tuple[Run, ...]:
    return tuple(Run(layer, 0, tile.tiles, tile.extent) for layer, tile in enumerate(tiles))


def parts(config: NpuConfig, tiles: Sequence[TileMap], runs: Sequence[Run]) -> tuple[Part, ...]:
    """Runs whole, one after another in weight memory, where they fit or where there is no memory
    port. Else cut so that each part fits one half of weight memory: while a part runs from one
    half, the next is fetched into the other.

    A tile that is larger than the half stays one part: the caller compares ``words_needed``.
    """
    whole, base = [], 0
    for run in runs:
        words = run.tiles * tiles[run.layer].taps_of(run.extent)
        whole.append(Part(run.layer, run.first, run.tiles, run.extent, base, words))
        base += words
    if not config.memory_port_bits or base <= config.weight_depth:
        return tuple(whole)
    half, fetched = config.weight_depth // 2, list[Part]()
    for run in runs:
        taps = tiles[run.layer].taps_of(run.extent)
        count = -(-run.tiles // max(half // taps, 1))
        size = -(-run.tiles // count)
        for skipped in range(0, run.tiles, size):
            some = min(size, run.tiles - skipped)
            before = fetched[-1] if fetched else None
            fetched.append(
                Part(
                    layer=run.layer,
                    first=run.first + skipped,
                    tiles=some,
                    extent=run.extent,
                    weight_base=half * (len(fetched) % 2),
                    weight_words=some * taps,
                    first_burst=before.first_burst + before.bursts if before else 0,
                    bursts=part_bursts(config, some * taps),
                )
            )
    return tuple(fetched)


def part_bursts(config: NpuConfig, weight_words: int) -> int:
    """Bursts of so many weight words; each part begins with one of its own."""
    return -(-weight_words * config.fetched_word_beats // isa.BURST_BEATS)


def words_needed(config: NpuConfig, cut: Sequence[Part]) -> int:
    """Words of weight memory: all weights, or twice the largest part with what fills its bursts."""
    if not any(part.bursts for part in cut):
        return sum(part.weight_words for part in cut)
    beats = max(part.bursts for part in cut) * isa.BURST_BEATS
    return 2 * max(*(part.weight_words for part in cut), -(-beats // config.fetched_word_beats))
