"""Schedule of a network whose feature maps exceed activation memory, by depth-first tiling.

The bands of all segments, one after another, become the layers of one network, so the hardware and
its behavioural model know nothing of bands. External memory holds the weights, if they are fetched,
and behind them the tensors that pass between segments.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

from codesign.compiler.mapping.allocation import Allocation
from codesign.compiler.mapping.parts import parts, stored, whole_layers
from codesign.compiler.mapping.schedule import Schedule, TileMove, TileMoves
from codesign.compiler.mapping.shapes import layer_shapes
from codesign.compiler.mapping.storage import Storage, StoragePlan, View, storage_plan
from codesign.compiler.mapping.strips import StripPlan
from codesign.compiler.mapping.unfolding import InputWindow, Unfolded
from codesign.compiler.tiling.bands import Flow, Piece
from codesign.compiler.tiling.segment_search import SegmentSearch
from codesign.compiler.tiling.segments import Segment
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import BURST_BEATS
from rtl_gen.isa.opcodes import Opcode


def tiled(
    unfolded: Unfolded,
    config: NpuConfig,
    activation_depth: int,
    shared: dict[range, Segment | None],
) -> Schedule | None:
    """Return the fastest schedule in segments and bands found, or None if nothing fits.

    activation_depth: words of each bank of activation memory.
    shared: segments found for other layouts of the same network's input; new ones are added.
    """
    network = unfolded.network
    shapes = layer_shapes(network)
    flow = Flow(network, shapes, storage_plan(network, shapes, config))
    segments = SegmentSearch(flow, config, activation_depth, shared).best()
    return _assembled(flow, config, unfolded.window, segments) if segments else None


def _assembled(
    whole: Flow, config: NpuConfig, window: InputWindow | None, segments: Sequence[Segment]
) -> Schedule:
    """Return the schedule whose layers are those of all pieces, one after another."""
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
        bases |= segment.allocation.bases
    rows = {own: place for piece in cut for own, place in piece.rows.items()}
    views = {
        own: _own_view(whole.storage.views[tensor], own.removeprefix(tensor))
        for own, (tensor, _) in rows.items()
    }
    plan = StripPlan(
        {name: count for each in plans for name, count in each.rows.items()},
        frozenset().union(*(each.split for each in plans)),
    )
    words = max(segment.allocation.words for segment in segments)
    weight_bursts = sum(part.bursts for part in stored(pieces_parts, firsts))
    return Schedule(
        network=network,
        window=window,
        config=config,
        shapes=layer_shapes(network),
        storage=StoragePlan(tiles, views, _storages(segments)),
        strips=plan,
        words=words,
        parts=pieces_parts,
        allocation=Allocation(bases, words),
        keeps_input=False,
        origins=firsts,
        moves=_moves(segments, rows, weight_bursts),
    )


def _joined(whole: IntegerNetwork, cut: Sequence[Piece]) -> IntegerNetwork:
    tensors = {whole.input: whole.tensors[whole.input]}
    for piece in cut:
        tensors |= piece.network.tensors
    layers = tuple(layer for piece in cut for layer in piece.network.layers)
    return dataclasses.replace(whole, layers=layers, tensors=tensors)


def _own_view(view: View, suffix: str) -> View:
    return dataclasses.replace(view, storage=f"{view.storage}{suffix}")


def _storages(segments: Sequence[Segment]) -> dict[str, Storage]:
    """Return all buffers by their pieces' own names, with lifetimes in steps of the whole program.

    Step i + 1 is MacLayer i of all pieces, one after another.
    """
    found, first = dict[str, Storage](), 1
    for segment in segments:
        for own, block in segment.blocks.items():
            root = own.rpartition(" ")[0]
            words = segment.flow.storage.storages[root].pixel_words
            found[own] = Storage(words, first + block.first, first + block.last)
        first += segment.mac_layers
    return found


def _moves(
    segments: Sequence[Segment], rows: Mapping[str, tuple[str, range]], bursts: int
) -> TileMoves:
    """Return the transfers between the layers of all pieces.

    rows: (tensor of the whole network, its rows) by a piece's own tensor name; bursts: those that
    weights take at the start of external memory.
    """
    regions, end = _regions(segments, bursts * BURST_BEATS)
    before, after = defaultdict[int, list[TileMove]](list), defaultdict[int, list[TileMove]](list)
    barriers, first = list[int](), 0

    def move(
        segment: Segment, opcode: Opcode, piece: Piece, root: str, needed: int = 0
    ) -> TileMove:
        own, row_beats = piece.own(root), segment.row_beats(root)
        own_rows = rows[own][1]
        start = regions.get(root, 0) + own_rows.start * row_beats
        return TileMove(opcode, own, start, len(own_rows) * row_beats, needed)

    for segment in segments:
        begins = dict[str, int]()
        barriers.append(first)
        for n, piece in enumerate(segment.pieces):
            begins[piece.name] = first + n * len(piece.shapes)
            for root in segment.flow.entering(segment.span):
                if segment.loaded(root):
                    load = move(segment, Opcode.LOAD, piece, root)
                    before[begins[piece.name]].append(load)
        for piece, root, step in segment.fill_steps():
            fill = move(segment, Opcode.FILL, piece, root, begins[piece.name])
            before[first + step].append(fill)
        for piece, root, step in segment.spill_steps():
            after[first + step].append(move(segment, Opcode.SPILL, piece, root))
        first += segment.mac_layers
    return TileMoves(before, after, frozenset(barriers[1:]), rows, end)


def _regions(segments: Sequence[Segment], beat: int) -> tuple[dict[str, int], int]:
    """Return the first beat in memory of each storage between segments, and the beat behind all.

    They lie from beat number ``beat`` on, in order of the segments, each from the start of a burst.
    """
    found = dict[str, int]()
    for segment in segments:
        for root in segment.flow.leaving(segment.span):
            found[root] = beat
            height = segment.flow.network.tensors[root].shape[1]
            beat += -(-height * segment.row_beats(root) // BURST_BEATS) * BURST_BEATS
    return found, beat
