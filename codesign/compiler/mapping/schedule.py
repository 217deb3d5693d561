"""The schedule: strips, tiles and addresses of a whole network, without looking at weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from codesign.compiler.mapping.allocation import Allocation, LiveBuffer, allocate
from codesign.compiler.mapping.parts import Part, parts, whole_layers, words_needed
from codesign.compiler.mapping.shapes import LayerShape, layer_shapes
from codesign.compiler.mapping.storage import StoragePlan, View, storage_plan
from codesign.compiler.mapping.strips import StripPlan, strip_plans
from codesign.compiler.mapping.tiles import TileMap
from codesign.compiler.mapping.unfolding import InputWindow, Unfolded
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode


@dataclass(frozen=True)
class TensorLocation:
    """Where a stored tensor lies; all sizes in words of one bank, rows or words per pixel."""

    view: View
    base: int
    """Address of the storage (the tensor's words start ``view.offset`` later in each pixel)."""
    pixel_words: int
    shape: tuple[int, int, int]
    strip_rows: int
    strips: int

    @property
    def row_words(self) -> int:
        return self.shape[2] * self.pixel_words

    @property
    def last_rows(self) -> int:
        return self.shape[1] - (self.strips - 1) * self.strip_rows

    @property
    def strip_words(self) -> int:
        """Words of a full strip: of the only one, where there is but one."""
        return min(self.strip_rows, self.shape[1]) * self.row_words


@dataclass(frozen=True)
class TileMove:
    """LOAD, FILL or SPILL of some rows of a tensor, with all of its storage."""

    opcode: Opcode
    tensor: str
    first_beat: int
    """Of FILL and SPILL: place in memory."""
    beats: int
    needed: int
    """Of FILL: the MacLayer that reads it first."""


@dataclass(frozen=True)
class TileMoves:
    """Of a tiled network: what comes and goes between its layers."""

    before: Mapping[int, Sequence[TileMove]]
    """MacLayer -> LOADs and FILLs that are issued before it."""
    after: Mapping[int, Sequence[TileMove]]
    """MacLayer -> SPILLs behind it."""
    barriers: frozenset[int]
    """MacLayers before which all SPILLs are over."""
    rows: Mapping[str, tuple[str, range]]
    """Tensor -> tensor of the whole network, and which of its rows."""
    beats: int
    """Of memory, weights included."""


@dataclass(frozen=True)
class Schedule:
    network: IntegerNetwork
    """As the NPU sees it: with ``window``, the input is the unfolded image."""
    window: InputWindow | None
    config: NpuConfig
    shapes: tuple[LayerShape, ...]
    storage: StoragePlan
    strips: StripPlan
    words: int
    """Words of a bank that the network needs."""
    parts: tuple[Part, ...]
    """The layers as LAYER instructions, in order."""
    allocation: Allocation
    """Takes more than ``words`` with ``keeps_input``."""
    keeps_input: bool
    """Whether no tensor takes the input image's words after its last use, so that the next image
    can be loaded meanwhile."""
    origins: tuple[int, ...] | None = None
    """MacLayer -> the first one with the same weights and channel table, which are stored once;
    none: each itself."""
    moves: TileMoves | None = None
    """Where feature maps do not fit (tiled.py): layers are bands of rows, then."""

    @property
    def tiles(self) -> tuple[TileMap, ...]:
        return self.storage.tiles

    @property
    def weight_words(self) -> int:
        """Words of weight memory."""
        return words_needed(self.config, self.parts)

    @property
    def channel_words(self) -> int:
        return sum(self.tiles[index].channel_words for index in self.distinct)

    @property
    def distinct(self) -> tuple[int, ...]:
        """MacLayers with weights and a channel table of their own."""
        return tuple(dict.fromkeys(self.origins or range(len(self.shapes))))

    @property
    def channel_bases(self) -> tuple[int, ...]:
        """Per MacLayer, the first word of its channel table."""
        words = [self.tiles[index].channel_words for index in self.distinct]
        bases = dict(zip(self.distinct, accumulate(words, initial=0), strict=False))
        return tuple(bases[index] for index in self.origins or range(len(self.shapes)))

    @property
    def result_words(self) -> int:
        """Words of the raw layers' results, in the result buffer."""
        pairs = zip(self.tiles, self.shapes, strict=True)
        return sum(tile.channel_words for tile, shape in pairs if shape.layer.raw)

    def is_image(self, tensor: str) -> bool:
        """Whether that is the network's input, or rows of it."""
        name = self.moves.rows[tensor][0] if self.moves else tensor
        return name == self.network.input

    def live_words(self, index: int) -> int:
        """Words per bank that are in use while MacLayer ``index`` runs."""
        step = index + 1
        return sum(
            self.location_of(name).strip_words
            for name, held in self.storage.storages.items()
            if held.first <= step <= held.last
        )

    def location_of(self, tensor: str) -> TensorLocation:
        view, shape = self.storage.views[tensor], self.network.tensors[tensor].shape
        return TensorLocation(
            view=view,
            base=self.allocation.bases[view.storage],
            pixel_words=self.storage.storages[view.storage].pixel_words,
            shape=shape,
            strip_rows=self.strips.rows[tensor],
            strips=self.strips.strips(tensor, shape[1]),
        )


def schedule(unfolded: Unfolded, config: NpuConfig, activation_depth: int | None) -> Schedule:
    """The fastest schedule whose activations fit ``activation_depth`` words per bank.

    Without a limit, the fastest. When nothing fits, the one that needs the least memory: the
    caller compares ``words``. The input's words are kept for the next image where the
    limit leaves room for that.
    """
    network = unfolded.network
    shapes = layer_shapes(network)
    storage = storage_plan(network, shapes, config)
    plans = strip_plans(network, shapes, config.pixels)
    if len(plans) > 1:
        plans.sort(key=_cycles(config, shapes, storage))
    options = []
    for plan in plans:
        option = _place(network, shapes, storage, plan)
        options.append((option, plan))
        if activation_depth is None or option.words <= activation_depth:
            break
    else:
        options.sort(key=lambda pair: pair[0].words, reverse=True)
    allocation, plan = options[-1]
    kept = _place(network, shapes, storage, plan, keep_input=True)
    keeps = activation_depth is not None and kept.words <= activation_depth
    return Schedule(
        network=network,
        window=unfolded.window,
        config=config,
        shapes=shapes,
        storage=storage,
        strips=plan,
        words=allocation.words,
        parts=parts(config, storage.tiles, whole_layers(storage.tiles)),
        allocation=kept if keeps else allocation,
        keeps_input=keeps,
    )


def _cycles(
    config: NpuConfig, shapes: tuple[LayerShape, ...], storage: StoragePlan
) -> Callable[[StripPlan], int]:
    """Cycles of all layers under a strip plan, but for constants that are the same in each.

    Plans differ in a few layers: counts are kept by (layer, rows per lane, lanes that drain).
    """

    @cache
    def layer_cycles(index: int, rows: int, drain_pixels: int) -> int:
        tile = storage.tiles[index]
        return walk_cycles(config, shapes[index], tile, rows, drain_pixels, tile.tiles, tile.taps)

    return lambda plan: sum(
        layer_cycles(shape.index, plan.loop_rows(shape), plan.drain_pixels(shape))
        for shape in shapes
    )


def walk_cycles(
    config: NpuConfig,
    shape: LayerShape,
    tile: TileMap,
    rows: int,
    drain_pixels: int,
    tiles: int,
    taps: int,
) -> int:
    """Cycles of ``tiles`` tiles of a layer, each of ``taps`` a position; the instruction's issue
    not counted. rows: output rows per lane; drain_pixels: lanes that hold results."""
    positions = rows * shape.out_shape[2] * shape.pool[0] * shape.pool[1]
    drain = drain_pixels * tile.chunks
    return timing.layer_body_cycles(
        config, taps, tiles * positions, drain, tile.fills, tiles * rows
    )


def _place(
    network: IntegerNetwork,
    shapes: tuple[LayerShape, ...],
    storage: StoragePlan,
    plan: StripPlan,
    *,
    keep_input: bool = False,
) -> Allocation:
    blocks = {}
    kept = storage.views[network.input].storage if keep_input else None
    for name, held in storage.storages.items():
        _, height, width = network.tensors[name].shape
        rows = min(plan.rows[name], height)
        last = len(shapes) if name == kept else held.last
        blocks[name] = LiveBuffer(rows * width * held.pixel_words, held.first, last)
    return allocate(blocks)
