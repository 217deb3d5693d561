"""Segments: buffers, transfers and estimated cycles of layers that run band by band.

A band's input rows are prefetched (FILL) while the band before it is computed, and its output rows
stay on chip until their SPILL is over, which is certain once the next SPILL has started. Buffers
live from their FILL or first use to their last use or that point, and bands overlap accordingly.
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
    """A strip plan in terms of the whole network, which pieces of the same heights share.

    Made by ``SegmentSearch``.
    """

    rows: Mapping[str, int]
    """Rows per strip, by tensor of the whole network."""
    split: frozenset[int]
    """Indices of the whole network's MacLayers that compute on all pixel lanes."""
    cycles: tuple[int, ...]
    """Cycles of each of the piece's MacLayers, the issue of the instruction included."""

    def plan(self, piece: Piece) -> StripPlan:
        """Return the strip plan of ``piece``, with the piece's own names."""
        names = zip(piece.shapes, piece.origins, strict=True)
        return StripPlan(
            {own: self.rows[tensor] for own, (tensor, _) in piece.rows.items()},
            frozenset(shape.layer.name for shape, origin in names if origin in self.split),
        )


@dataclass(frozen=True)
class Segment:
    """Successive layers that run band by band. Made by ``SegmentSearch``.

    Lifetimes and issue positions count the MacLayers of all pieces, one after another, from 0.
    """

    flow: Flow
    config: NpuConfig
    span: range
    """Its layers, as positions in ``flow.network.layers``, concats included."""
    pieces: tuple[Piece, ...]
    """Its bands, in order."""
    forms: tuple[Form, ...]
    """Strips and cycles of each band."""

    def loaded(self, root: str) -> bool:
        """Return True if the storage ``root`` comes from the host (LOAD), not memory (FILL)."""
        return root == self.flow.root(self.flow.network.input)

    @cached_property
    def mac_layers(self) -> int:
        """Number of MacLayers of all pieces."""
        return sum(len(piece.shapes) for piece in self.pieces)

    @cached_property
    def cycles(self) -> int:
        """Estimated cycles: LAYERs exactly, beats of LOADs, and stalls for FILLs and SPILLs.

        A FILL is assumed to hide behind the longest layer of the piece before, the SPILLs of a
        piece behind as many cycles as its layers take, those of the last piece behind nothing.
        """
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
        """Return the beats of the memory port that one row of a storage takes."""
        words = self.flow.storage.storages[root].pixel_words
        return words * self.flow.network.tensors[root].shape[2] * self.config.tile_word_beats

    def _beats(self, piece: Piece, root: str) -> int:
        """Return the beats of the memory port that a piece's rows of a storage take."""
        return len(piece.rows[piece.own(root)][1]) * self.row_beats(root)

    def fill_steps(self) -> Iterator[tuple[Piece, str, int]]:
        """Yield (piece, storage, position of the MacLayer before which its FILL is issued).

        One for each piece and each storage that enters from memory. The FILL of the k-th storage is
        issued before the k-th longest layer of the piece before, to hide behind it (counted round
        if there are fewer layers); in the first piece, before its first layer.
        """
        fills = [root for root in self.flow.entering(self.span) if not self.loaded(root)]
        first = 0
        layers = [0]
        for piece, form in zip(self.pieces, self.forms, strict=True):
            for i, root in enumerate(fills):
                yield piece, root, layers[i % len(layers)]
            layers = sorted(range(len(form.cycles)), key=lambda j: -form.cycles[j])
            layers = [first + j for j in layers]
            first += len(form.cycles)

    def spill_steps(self) -> list[tuple[Piece, str, int]]:
        """Return (piece, storage, position of the MacLayer behind which its SPILL is issued).

        In order of issue: behind the last layer of the piece that writes to the storage.
        """
        leaving = self.flow.leaving(self.span)
        found, first = [], 0
        for piece in self.pieces:
            spills = [(self._last_writer(piece, root), root) for root in leaving]
            found += [(piece, root, first + step) for step, root in sorted(spills)]
            first += len(piece.shapes)
        return found

    def _last_writer(self, piece: Piece, root: str) -> int:
        """Return the last MacLayer that writes to a storage, as its index in the piece."""
        names = [piece.rows[s.layer.output][0] if not s.layer.raw else None for s in piece.shapes]
        return max(i for i, name in enumerate(names) if name and self.flow.root(name) == root)

    @cached_property
    def allocation(self) -> Allocation:
        """Addresses of all pieces' buffers."""
        return allocate(self.blocks)

    @cached_property
    def blocks(self) -> dict[str, LiveBuffer]:
        """Buffers of all pieces with their lifetimes, by the pieces' own names of storages.

        A buffer's words are those of one bank.
        """
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
        """Return by storage the (first, last) MacLayer of the piece that uses it, both included.

        Storages have the whole network's names; indices count from the piece's first MacLayer.
        """
        found = dict[str, tuple[int, int]]()
        for step, shape in enumerate(piece.shapes):
            names = [source.tensor for source in shape.layer.sources]
            for name in names if shape.layer.raw else [*names, shape.layer.output]:
                root = self.flow.root(piece.rows[name][0])
                found[root] = (found.get(root, (step, step))[0], step)
        return found
