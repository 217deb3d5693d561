"""Tiling: a network whose feature maps do not fit, as segments that run band by band.

Between segments all tensors are on memory. Within one, a band's tensors live on chip until its last
layer, but that what goes out stays until the next band's has begun to, and what comes in is there
already while the band before it is computed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from codesign.compiler.bands import Flow, Piece, own_name, pieces
from codesign.compiler.memory import LATENCY_CYCLES
from codesign.compiler.parts import parts, stored, whole_layers
from codesign.compiler.placement import Block, Placement, place
from codesign.compiler.schedule import Schedule, TileMove, TileMoves, walk_cycles
from codesign.compiler.shapes import layer_shapes
from codesign.compiler.storage import Storage, StoragePlan, View, storage_plan
from codesign.compiler.strips import StripPlan, strip_plans
from codesign.compiler.unfold import Unfolded
from models.integer import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.opcodes import Opcode

MOST_FUSED = 8
"""Layers of a segment of several bands: with more, halos grow."""
MORE_BANDS = 2
"""Numbers of bands that are tried beyond the least that fits: strips may suit them better."""


@dataclass(frozen=True)
class Form:
    """A way to cut the tensors of a piece into strips, by names of the whole network."""

    rows: Mapping[str, int]
    split: frozenset[int]
    """MacLayers."""
    cycles: tuple[int, ...]
    """Of each of the piece's MacLayers, its issue included."""

    def plan(self, piece: Piece) -> StripPlan:
        names = zip(piece.shapes, piece.origins, strict=True)
        return StripPlan(
            {own: self.rows[tensor] for own, (tensor, _) in piece.rows.items()},
            frozenset(shape.layer.name for shape, origin in names if origin in self.split),
        )


@dataclass(frozen=True)
class Segment:
    """Layers ``span`` in bands, with addresses."""

    span: range
    pieces: tuple[Piece, ...]
    forms: tuple[Form, ...]
    placement: Placement
    cycles: int
    """Of its LAYERs and LOADs exactly; of what memory adds an estimate."""


@dataclass
class Tiler:
    """Finds the segments of one network on one NPU."""

    flow: Flow
    config: NpuConfig
    depth: int
    _forms: dict[tuple[object, ...], tuple[Form, ...]] = field(default_factory=dict)

    def best(self) -> list[Segment] | None:
        """The segments that take fewest cycles; None where one is too large whatever the bands.
        Dynamic programming over the positions where segments begin."""
        cuts = self.flow.cuts()
        found: dict[int, tuple[int, list[Segment]]] = {cuts[0]: (0, [])}
        for low, high in itertools.combinations(cuts, 2):
            if low not in found:
                continue
            cycles, before = found[low]
            segment = self._segment(range(low, high), len(before))
            if segment is None:
                continue
            total = cycles + segment.cycles
            if high not in found or total < found[high][0]:
                found[high] = (total, [*before, segment])
        last = found.get(cuts[-1])
        return self._renumbered(last[1]) if last else None

    def _renumbered(self, segments: Sequence[Segment]) -> list[Segment]:
        """Each under its own number: the search knows of another one."""
        return [
            self._option(segment.span, len(segment.pieces), number) or segment
            for number, segment in enumerate(segments)
        ]

    def _segment(self, span: range, number: int) -> Segment | None:
        whole = self._option(span, 1, number)
        leaving = self.flow.leaving(span)
        if whole or not leaving or len(span) > MOST_FUSED:
            return whole
        most = max(self.flow.network.tensors[root].shape[1] for root in leaving)
        options, bands = list[Segment](), 2
        while bands <= most and len(options) <= MORE_BANDS:
            option = self._option(span, bands, number)
            if option:
                options.append(option)
            bands += 1 if option or bands < 8 else bands // 4
        return min(options, key=lambda option: option.cycles, default=None)

    def _option(self, span: range, bands: int, number: int) -> Segment | None:
        cut = tuple(pieces(self.flow, span, bands, number))
        every = [self._ways(span, piece) for piece in cut]
        if not all(every):
            return None
        for way in range(max(map(len, every)) if bands == 1 else 1):
            forms = tuple(ways[min(way, len(ways) - 1)] for ways in every)
            placement = place(self.blocks(span, cut, forms))
            if placement.words <= self.depth:
                cycles = self._cycles(span, cut, forms)
                return Segment(span, cut, forms, placement, cycles)
        return None

    def _ways(self, span: range, piece: Piece) -> tuple[Form, ...]:
        """Fastest first; worked out once for pieces of the same heights."""
        heights = tuple(len(rows) for _, rows in piece.rows.values())
        key = (span, heights)
        if key not in self._forms:
            plans = strip_plans(piece.network, piece.shapes, self.config.pixels)
            forms = [self._form(piece, plan) for plan in plans]
            self._forms[key] = tuple(sorted(forms, key=lambda form: sum(form.cycles)))
        return self._forms[key]

    def _form(self, piece: Piece, plan: StripPlan) -> Form:
        rows = {tensor: plan.rows[own] for own, (tensor, _) in piece.rows.items()}
        names = zip(piece.shapes, piece.origins, strict=True)
        split = frozenset(origin for shape, origin in names if shape.layer.name in plan.split)
        return Form(rows, split, self._layer_cycles(piece, plan))

    def _layer_cycles(self, piece: Piece, plan: StripPlan) -> tuple[int, ...]:
        issue = timing.issue_cycles(self.config, Opcode.LAYER)
        found = []
        for shape, origin in zip(piece.shapes, piece.origins, strict=True):
            tile = self.flow.storage.tiles[origin]
            rows, drained = plan.loop_rows(shape), plan.drain_pixels(shape)
            walk = (tile.tiles, tile.taps)
            found.append(issue + walk_cycles(self.config, shape, tile, rows, drained, *walk))
        return tuple(found)

    def row_beats(self, root: str) -> int:
        """Of the memory port, for a row of a storage."""
        words = self.flow.storage.storages[root].pixel_words
        return words * self.flow.network.tensors[root].shape[2] * self.config.tile_word_beats

    def beats(self, piece: Piece, root: str) -> int:
        """For the rows that a piece has."""
        return len(piece.rows[own_name(root, piece.name)][1]) * self.row_beats(root)

    def loaded(self, root: str) -> bool:
        """Whether it comes from the host."""
        return root == self.flow.root(self.flow.network.input)

    def fills(self, span: range) -> list[str]:
        return [root for root in self.flow.entering(span) if not self.loaded(root)]

    def _cycles(self, span: range, cut: Sequence[Piece], forms: Sequence[Form]) -> int:
        total = sum(sum(form.cycles) for form in forms)
        before = 0
        for piece, form in zip(cut, forms, strict=True):
            for root in self.flow.entering(span):
                beats = self.beats(piece, root)
                if self.loaded(root):
                    words = beats // self.config.tile_word_beats
                    total += words * self.config.activation_word_beats
                else:
                    total += max(0, beats + LATENCY_CYCLES - before)
            before = max(form.cycles)
            spilled = sum(self.beats(piece, root) for root in self.flow.leaving(span))
            total += max(0, spilled - (sum(form.cycles) if piece is not cut[-1] else 0))
        return total

    # Life times, by the number of the MacLayer over all pieces ----------------------------

    def fill_steps(
        self, span: range, cut: Sequence[Piece], forms: Sequence[Form]
    ) -> Iterator[tuple[Piece, str, int]]:
        """(piece, storage, layer before which its FILL is issued): while the longest layers of the
        piece before run, or right before its first layer in the first piece."""
        first = 0
        slots = [0]
        for piece, form in zip(cut, forms, strict=True):
            for i, root in enumerate(self.fills(span)):
                yield piece, root, slots[i % len(slots)]
            slots = sorted(range(len(form.cycles)), key=lambda j: -form.cycles[j])
            slots = [first + j for j in slots]
            first += len(form.cycles)

    def spill_steps(self, span: range, cut: Sequence[Piece]) -> list[tuple[Piece, str, int]]:
        """(piece, storage, layer behind which its SPILL is issued), in order."""
        found, first = [], 0
        for piece in cut:
            spills = [(self._last_writer(piece, root), root) for root in self.flow.leaving(span)]
            found += [(piece, root, first + step) for step, root in sorted(spills)]
            first += len(piece.shapes)
        return found

    def _last_writer(self, piece: Piece, root: str) -> int:
        names = [piece.rows[s.layer.output][0] if not s.layer.raw else None for s in piece.shapes]
        return max(i for i, name in enumerate(names) if name and self.flow.root(name) == root)

    def blocks(self, span: range, cut: Sequence[Piece], forms: Sequence[Form]) -> dict[str, Block]:
        begins = {
            own_name(root, p.name): step for p, root, step in self.fill_steps(span, cut, forms)
        }
        spills = self.spill_steps(span, cut)
        end = sum(len(piece.shapes) for piece in cut) - 1
        following = [step for _, _, step in spills[1:]] + [end]
        ends = {
            own_name(root, piece.name): until
            for (piece, root, _), until in zip(spills, following, strict=False)
        }
        blocks, first = dict[str, Block](), 0
        for piece, form in zip(cut, forms, strict=True):
            for root, (low, high) in self._uses(piece).items():
                own = own_name(root, piece.name)
                _, height, width = piece.network.tensors[own].shape
                words = min(form.rows[root], height) * width
                words *= self.flow.storage.storages[root].pixel_words
                low, high = begins.get(own, first + low), max(first + high, ends.get(own, 0))
                blocks[own] = Block(words, low, high)
            first += len(piece.shapes)
        return blocks

    def _uses(self, piece: Piece) -> dict[str, tuple[int, int]]:
        """First and last layer of a piece that touches each storage."""
        found = dict[str, tuple[int, int]]()
        for step, shape in enumerate(piece.shapes):
            names = [source.tensor for source in shape.layer.sources]
            for name in names if shape.layer.raw else [*names, shape.layer.output]:
                root = self.flow.root(piece.rows[name][0])
                found[root] = (found.get(root, (step, step))[0], step)
        return found


def tiled(unfolded: Unfolded, config: NpuConfig, activation_depth: int) -> Schedule | None:
    """The network in segments; None where no bands make it fit."""
    network = unfolded.network
    shapes = layer_shapes(network)
    flow = Flow(network, shapes, storage_plan(network, shapes, config))
    tiler = Tiler(flow, config, activation_depth)
    segments = tiler.best()
    return _assembled(tiler, unfolded, segments) if segments else None


def _assembled(tiler: Tiler, unfolded: Unfolded, segments: Sequence[Segment]) -> Schedule:
    """All pieces, one after another, as the layers of one network."""
    whole, config = tiler.flow, tiler.config
    cut = [piece for segment in segments for piece in segment.pieces]
    forms = [form for segment in segments for form in segment.forms]
    plans = [form.plan(piece) for form, piece in zip(forms, cut, strict=True)]
    network = _joined(whole.network, cut)
    origins = tuple(origin for piece in cut for origin in piece.origins)
    tiles = tuple(whole.storage.tiles[origin] for origin in origins)
    firsts = tuple(map(origins.index, origins))
    pieces_parts = parts(config, tiles, whole_layers(tiles), firsts)
    bases: dict[str, int] = {}
    for segment in segments:
        bases |= segment.placement.bases
    rows = {own: place for piece in cut for own, place in piece.rows.items()}
    views = {
        own: _own_view(whole.storage.views[tensor], own.removeprefix(tensor))
        for own, (tensor, _) in rows.items()
    }
    plan = StripPlan(
        {name: count for each in plans for name, count in each.rows.items()},
        frozenset().union(*(each.split for each in plans)),
    )
    weight_bursts = sum(part.bursts for part in stored(pieces_parts, firsts))
    return Schedule(
        network=network,
        window=unfolded.window,
        config=config,
        shapes=layer_shapes(network),
        storage=StoragePlan(tiles, views, _storages(tiler, segments)),
        strips=plan,
        words=max(segment.placement.words for segment in segments),
        parts=pieces_parts,
        placement=Placement(bases, max(segment.placement.words for segment in segments)),
        keeps_input=False,
        origins=firsts,
        moves=_moves(tiler, segments, rows, weight_bursts),
    )


def _joined(whole: IntegerNetwork, cut: Sequence[Piece]) -> IntegerNetwork:
    tensors = {whole.input: whole.tensors[whole.input]}
    for piece in cut:
        tensors |= piece.network.tensors
    layers = tuple(layer for piece in cut for layer in piece.network.layers)
    return dataclasses.replace(whole, layers=layers, tensors=tensors)


def _own_view(view: View, suffix: str) -> View:
    return dataclasses.replace(view, storage=f"{view.storage}{suffix}")


def _storages(tiler: Tiler, segments: Sequence[Segment]) -> dict[str, Storage]:
    """By steps of the whole program: step i + 1 is MacLayer i."""
    found, first = dict[str, Storage](), 1
    for segment in segments:
        for own, block in tiler.blocks(segment.span, segment.pieces, segment.forms).items():
            root = own.rpartition(" ")[0]
            words = tiler.flow.storage.storages[root].pixel_words
            found[own] = Storage(words, first + block.first, first + block.last)
        first += sum(len(piece.shapes) for piece in segment.pieces)
    return found


def _moves(
    tiler: Tiler, segments: Sequence[Segment], rows: Mapping[str, tuple[str, range]], bursts: int
) -> TileMoves:
    """What comes and goes between the layers. bursts: that the weights take in memory."""
    regions, beat = dict[str, int](), bursts * BURST_BEATS
    for segment in segments:
        for root in tiler.flow.leaving(segment.span):
            regions[root] = beat
            height = tiler.flow.network.tensors[root].shape[1]
            beat += -(-height * tiler.row_beats(root) // BURST_BEATS) * BURST_BEATS
    before, after = defaultdict[int, list[TileMove]](list), defaultdict[int, list[TileMove]](list)
    barriers, first = list[int](), 0

    def move(opcode: Opcode, piece: Piece, root: str, needed: int = 0) -> TileMove:
        own, row_beats = own_name(root, piece.name), tiler.row_beats(root)
        own_rows = rows[own][1]
        start = regions.get(root, 0) + own_rows.start * row_beats
        return TileMove(opcode, own, start, len(own_rows) * row_beats, needed)

    for segment in segments:
        span, begins = segment.span, dict[str, int]()
        barriers.append(first)
        for piece, n in zip(segment.pieces, itertools.count(), strict=False):
            begins[piece.name] = first + n * len(piece.shapes)
            for root in tiler.flow.entering(span):
                if tiler.loaded(root):
                    before[begins[piece.name]].append(move(Opcode.LOAD, piece, root))
        for piece, root, step in tiler.fill_steps(span, segment.pieces, segment.forms):
            needed = begins[piece.name]
            before[first + step].append(move(Opcode.FILL, piece, root, needed))
        for piece, root, step in tiler.spill_steps(span, segment.pieces):
            after[first + step].append(move(Opcode.SPILL, piece, root))
        first += sum(len(piece.shapes) for piece in segment.pieces)
    return TileMoves(before, after, frozenset(barriers[1:]), rows, beat)
