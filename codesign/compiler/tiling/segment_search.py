"""Search of the segments: where to cut the network, into how many bands, with which strips.

Dynamic programming over the cut positions minimises estimated cycles. Each segment takes one band
if its tensors fit, else the fastest of a few numbers of bands, beginning with the first that fits:
more bands recompute more halo rows, but their strips may suit the pixel lanes better.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from codesign.compiler.mapping.schedule import walk_cycles
from codesign.compiler.mapping.strips import StripPlan, strip_plans
from codesign.compiler.tiling.bands import Flow, Piece, pieces
from codesign.compiler.tiling.segments import Form, Segment
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode

MOST_FUSED = 8
"""Most layers of a segment of several bands; halos grow with every layer."""
MORE_BANDS = 2
"""Further numbers of bands that fit which are compared with the first one that does."""


@dataclass
class SegmentSearch:
    """Search of the best segments of one network on one NPU. Made by ``tiling.tiled.tiled``."""

    flow: Flow
    config: NpuConfig
    depth: int
    """Words of activation memory, per bank."""
    shared: dict[range, Segment | None] = field(default_factory=dict)
    """Segments that do not read the image, which are the same for every input layout, by span; None
    for a span that does not fit. Found ones are added."""
    _forms: dict[tuple[object, ...], tuple[Form, ...]] = field(default_factory=dict)
    """Results of ``_ways`` by (span, rows of each of the band's tensors)."""

    def best(self) -> list[Segment] | None:
        """Return the segments, in order, that take the fewest cycles, or None if nothing fits.

        Dynamic programming over the positions where segments begin.
        """
        cuts = self.flow.cuts()
        found: dict[int, tuple[int, list[Segment]]] = {cuts[0]: (0, [])}
        for low, high in itertools.combinations(cuts, 2):
            if low not in found:
                continue
            cycles, before = found[low]
            segment = self._known_segment(range(low, high), len(before))
            if segment is None:
                continue
            total = cycles + segment.cycles
            if high not in found or total < found[high][0]:
                found[high] = (total, [*before, segment])
        last = found.get(cuts[-1])
        return self._renumbered(last[1]) if last else None

    def _renumbered(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return the segments with their final numbers in the names of their pieces."""
        return [
            self._option(segment.span, len(segment.pieces), number) or segment
            for number, segment in enumerate(segments)
        ]

    def _known_segment(self, span: range, number: int) -> Segment | None:
        """Return ``_segment`` of the same arguments, kept in ``shared`` unless it reads the image.

        A kept one may have another number in the names of its pieces.
        """
        image = self.flow.root(self.flow.network.input)
        if any(image in self.flow.uses(self.flow.network.layers[i]) for i in span):
            return self._segment(span, number)
        if span not in self.shared:
            self.shared[span] = self._segment(span, number)
        return self.shared[span]

    def _segment(self, span: range, number: int) -> Segment | None:
        """Return the layers ``span`` as a segment, or None if it does not fit.

        One band is taken if it fits; else several, unless the segment has the network's output or
        more than MOST_FUSED layers. Numbers of bands rise from 2, by 1 up to 8, then by a quarter
        until one fits, then by 1; of the first 1 + MORE_BANDS that fit the fastest is taken.
        number: the segment's, for names only.
        """
        whole = self._option(span, 1, number)
        leaving = self.flow.leaving(span)
        if whole or not leaving or len(span) > MOST_FUSED:
            return whole
        most = min(self.flow.network.tensors[root].shape[1] for root in leaving)
        options, bands = list[Segment](), 2
        while bands <= most and len(options) <= MORE_BANDS:
            option = self._option(span, bands, number)
            if option:
                options.append(option)
            bands += 1 if option or bands < 8 else bands // 4
        return min(options, key=lambda option: option.cycles, default=None)

    def _option(self, span: range, bands: int, number: int) -> Segment | None:
        """Return the segment of so many bands, or None if it does not fit activation memory.

        One band takes its fastest strips that fit; several take their fastest ones, or do not fit.
        """
        cut = tuple(pieces(self.flow, span, bands, number))
        every = [self._ways(span, piece) for piece in cut]
        if not all(every):
            return None
        for way in range(max(map(len, every)) if bands == 1 else 1):
            forms = tuple(ways[min(way, len(ways) - 1)] for ways in every)
            segment = Segment(self.flow, self.config, span, cut, forms)
            if segment.allocation.words <= self.depth:
                return segment
        return None

    def _ways(self, span: range, piece: Piece) -> tuple[Form, ...]:
        """Return the piece's ways to be cut into strips, the fastest first.

        An empty tuple if there is none. They are cached, as bands of the same heights have the same
        ways. span: positions of the segment's layers.
        """
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
