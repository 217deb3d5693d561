"""Weight tiles (parts): output-channel tiles whose weights are on chip together.

A run is a range of one layer's tiles that are walked alike; a part is a run with the place of its
weights, and becomes one LAYER instruction. If all weights fit weight memory, or the NPU has no
memory port, the host loads them once and every run is one part. Otherwise weight memory is double
buffered: runs are cut into parts of at most half of it, and while a part computes from one half,
FETCH writes the next part's weights into the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from codesign.compiler.mapping.tiles import Extent, TileMap
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS


@dataclass(frozen=True)
class TileRun:
    """Tiles ``first`` to ``first + tiles - 1`` of MacLayer number ``layer``, with one extent.

    Made by ``whole_layers`` and ``zeros.trim.trimmed_runs``.
    """

    layer: int
    first: int
    tiles: int
    extent: Extent


@dataclass(frozen=True)
class Part(TileRun):
    """A run whose weights are on chip together: one LAYER instruction. Made by ``parts``."""

    weight_base: int
    """Address of its weights in weight memory."""
    weight_words: int
    """Words of its weights."""
    first_burst: int = 0
    """First burst of its weights in external memory, from MEMORY_BASE on; 0 without ``bursts``."""
    bursts: int = 0
    """Bursts of its weights in external memory; 0 if the host loads them into weight memory."""
    held: bool = False
    """True if an earlier part has left the same weights at this address."""

    @property
    def fetched(self) -> bool:
        """True if the part needs a FETCH of its own."""
        return self.bursts > 0 and not self.held


def whole_layers(tiles: Sequence[TileMap]) -> tuple[TileRun, ...]:
    """Return one run of tiles per layer: all its output-channel tiles, with all their taps.

    tiles: those of each MacLayer, in order.
    """
    return tuple(TileRun(layer, 0, tile.tiles, tile.extent) for layer, tile in enumerate(tiles))


def parts(
    config: NpuConfig,
    tiles: Sequence[TileMap],
    runs: Sequence[TileRun],
    origins: Sequence[int] | None = None,
) -> tuple[Part, ...]:
    """Return the runs with their places in weight memory, cut shorter if the weights do not fit.

    Without a memory port, or if they fit, runs stay whole and their weights lie one after another.
    Otherwise each part fits one half of weight memory, and parts alternate between the halves, but
    that a part stays in the half in which its weights already lie (``held``). A single tile larger
    than a half is one part, and the caller compares ``words_needed``. origins: for each layer the
    first one with the same weights, which are stored once; None: no two share.
    """
    whole, bases, base = list[Part](), dict[TileRun, int](), 0
    for run in runs:
        words = run.tiles * tiles[run.layer].words_of(run.extent)
        weights = _weights_key(run, origins)
        held = weights in bases
        if not held:
            bases[weights] = base
            base += words
        place = (bases[weights], words)
        whole.append(Part(run.layer, run.first, run.tiles, run.extent, *place, held=held))
    if not config.memory_port_bits or base <= config.weight_depth:
        return tuple(whole)
    half = config.weight_depth // 2
    firsts, burst, halves, side = dict[TileRun, int](), 0, list[TileRun | None]([None, None]), 1
    fetched = list[Part]()
    cut = (short for run in runs for short in _cut(run, tiles[run.layer], half))
    for run in cut:
        words = run.tiles * tiles[run.layer].words_of(run.extent)
        bursts, weights = part_bursts(config, words), _weights_key(run, origins)
        if weights not in firsts:
            firsts[weights] = burst
            burst += bursts
        held = weights in halves
        side = halves.index(weights) if held else 1 - side
        halves[side] = weights
        at = (half * side, words, firsts[weights], bursts, held)
        fetched.append(Part(run.layer, run.first, run.tiles, run.extent, *at))
    return tuple(fetched)


def _weights_key(run: TileRun, origins: Sequence[int] | None) -> TileRun:
    """Return a key of the run's weights: the same run of the first layer that has them.

    origins: as in ``parts``; without it, the run itself.
    """
    return dataclasses.replace(run, layer=origins[run.layer]) if origins else run


def _cut(run: TileRun, tile: TileMap, half: int) -> Iterator[TileRun]:
    """Yield the run as the fewest shorter runs of at most ``half`` weight words each.

    They have equally many tiles, the last one perhaps fewer. Tiles that exceed ``half`` are yielded
    one by one.
    """
    count = -(-run.tiles // max(half // tile.words_of(run.extent), 1))
    size = -(-run.tiles // count)
    for skipped in range(0, run.tiles, size):
        some = min(size, run.tiles - skipped)
        yield TileRun(run.layer, run.first + skipped, some, run.extent)


def stored(cut: Sequence[Part], origins: Sequence[int] | None) -> tuple[Part, ...]:
    """Return the parts whose weights are stored, in order: of parts with equal weights the first.

    origins: as in ``parts``.
    """
    found = dict[TileRun, Part]()
    for part in cut:
        run = TileRun(part.layer, part.first, part.tiles, part.extent)
        found.setdefault(_weights_key(run, origins), part)
    return tuple(found.values())


def part_bursts(config: NpuConfig, weight_words: int) -> int:
    """Return the memory bursts that a part's weight words take, rounded up.

    No two parts share a burst. The NPU must have a memory port.
    """
    return -(-weight_words * config.fetched_word_beats // BURST_BEATS)


def words_needed(config: NpuConfig, cut: Sequence[Part]) -> int:
    """Return the words of weight memory that the parts need.

    If the host loads them, these are all weights, shared ones once. If they are fetched, they are
    twice the words that the largest part's whole bursts take, as there are two halves.
    """
    if not any(part.bursts for part in cut):
        return sum(part.weight_words for part in cut if not part.held)
    beats = max(part.bursts for part in cut) * BURST_BEATS
    return 2 * max(*(part.weight_words for part in cut), -(-beats // config.fetched_word_beats))
