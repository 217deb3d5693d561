"""A segment: layers that run band by band, where what they need lies, and what it takes.

A band's tensors live on chip until its last layer, but that what goes out stays until the next
band's has begun to, and what comes in is there already while the band before it is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from codesign.compiler.mapping.allocation import Allocation, LiveBuffer, allocate
from codesign.compiler.mapping.strips import StripPlan
from codesign.compiler.program.memory import LATENCY_CYCLES
from codesign.compiler.tiling.bands import Flow, Piece
from rtl_gen.config import NpuConfig


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
    """Layers ``span`` in bands. Life times count MacLayers over all pieces."""

    flow: Flow
    config: NpuConfig
    span: range
    pieces: tuple[Piece, ...]
    forms: tuple[Form, ...]

    def loaded(self, root: str) -> bool:
        """Whether it comes from the host."""
        return root == self.flow.root(self.flow.network.input)

    @cached_property
    def mac_layers(self) -> int:
        """Of all pieces."""
        return sum(len(piece.shapes) for piece in self.pieces)

    @cached_property
    def cycles(self) -> int:
        """Of its LAYERs and LOADs exactly; of what memory adds an estimate."""
        total = sum(sum(form.cycles) for form in self.forms)
        before = 0
        for piece, form in zip(self.pieces, self.forms, strict=True):
            for root in self.flow.entering(self.span):
                beats = self._beats(piece, root)
                if self.loaded(root):
                    words = beats // self.config.tile_word_beats
                    total += words * self.config.activation_word_beats
                else:
                    total += max(0, beats + LATENCY_CYCLES - before)
            before = max(form.cycles)
            spilled = sum(self._beats(piece, root) for root in self.flow.leaving(self.span))
            total += max(0, spilled - (sum(form.cycles) if piece is not self.pieces[-1] else 0))
        return total

    def row_beats(self, root: str) -> int:
        """Of the memory port, for a row of a storage."""
        words = self.flow.storage.storages[root].pixel_words
        return words * self.flow.network.tensors[root].shape[2] * self.config.tile_word_beats

    def _beats(self, piece: Piece, root: str) -> int:
        """For the rows that a piece has."""
        return len(piece.rows[piece.own(root)][1]) * self.row_beats(root)

    def fill_steps(self) -> Iterator[tuple[Piece, str, int]]:
        """(piece, storage, layer before which its FILL is issued): while the longest layers of the
        piece before run, or right before its first layer in the first piece."""
        fills = [root for root in self.flow.entering(self.span) if not self.loaded(root)]
        first = 0
        slots = [0]
        for piece, form in zip(self.pieces, self.forms, strict=True):
            for i, root in enumerate(fills):
                yield piece, root, slots[i % len(slots)]
            slots = sorted(range(len(form.cycles)), key=lambda j: -form.cycles[j])
            slots = [first + j for j in slots]
            first += len(form.cycles)

    def spill_steps(self) -> list[tuple[Piece, str, int]]:
        """(piece, storage, layer behind which its SPILL is issued), in order."""
        leaving = self.flow.leaving(self.span)
        found, first = [], 0
        for piece in self.pieces:
            spills = [(self._last_writer(piece, root), root) for root in leaving]
            found += [(piece, root, first + step) for step, root in sorted(spills)]
            first += len(piece.shapes)
        return found

    def _last_writer(self, piece: Piece, root: str) -> int:
        names = [piece.rows[s.layer.output][0] if not s.layer.raw else None for s in piece.shapes]
        return max(i for i, name in enumerate(names) if name and self.flow.root(name) == root)

    @cached_property
    def allocation(self) -> Allocation:
        return allocate(self.blocks)

    @cached_property
    def blocks(self) -> dict[str, LiveBuffer]:
        """By the pieces' own names of storages."""
        begins = {piece.own(root): step for piece, root, step in self.fill_steps()}
        spills = self.spill_steps()
        following = [step for _, _, step in spills[1:]] + [self.mac_layers - 1]
        ends = {
            piece.own(root): until
            for (piece, root, _), until in zip(spills, following, strict=False)
        }
        blocks, first = dict[str, LiveBuffer](), 0
        for piece, form in zip(self.pieces, self.forms, strict=True):
            for root, (low, high) in self._uses(piece).items():
                own = piece.own(root)
                _, height, width = piece.network.tensors[own].shape
                words = min(form.rows[root], height) * width
                words *= self.flow.storage.storages[root].pixel_words
                low, high = begins.get(own, first + low), max(first + high, ends.get(own, 0))
                blocks[own] = LiveBuffer(words, low, high)
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
