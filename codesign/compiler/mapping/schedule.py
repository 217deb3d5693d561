"""Mapping of a whole network: its strips, tiles, weight tiles and addresses.

``schedule`` makes it from layer shapes. All that remains to be decided there is the strip plan, one
per break point (``strips``): the fastest whose buffers fit activation memory is taken.
``zeros.trim`` and ``tiling`` make other schedules of the same form.
"""

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
    """Address and strips of a stored tensor; words are those of one bank.

    Made by ``Schedule.location_of``.
    """

    view: View
    base: int
    """Address of the storage; in each pixel the tensor's words start ``view.offset`` words on."""
    pixel_words: int
    """Words per pixel of the storage, those of other tensors in it included."""
    shape: tuple[int, int, int]
    """Channels, rows, columns of the tensor."""
    strip_rows: int
    """Rows of a full strip."""
    strips: int
    """Number of strips, and so of banks that hold rows."""

    @property
    def row_words(self) -> int:
        """Words of a row of the storage, other tensors' words included."""
        return self.shape[2] * self.pixel_words

    @property
    def last_rows(self) -> int:
        """Rows of the last strip."""
        return self.shape[1] - (self.strips - 1) * self.strip_rows

    @property
    def strip_words(self) -> int:
        """Words of a full strip, or of the only one if there is just one."""
        return min(self.strip_rows, self.shape[1]) * self.row_words


@dataclass(frozen=True)
class TileMove:
    """A LOAD, FILL or SPILL of a band: some rows of a tensor, all words of its storage.

    Made by ``tiling.tiled``.
    """

    opcode: Opcode
    tensor: str
    """The band's tensor."""
    first_beat: int
    """First beat of a FILL or SPILL in external memory; without meaning for a LOAD."""
    beats: int
    """Beats of the memory port that the rows take."""
    needed: int
    """Index of the MacLayer before which a FILL must be over, the first of its band; 0 for LOADs
    and SPILLs."""


@dataclass(frozen=True)
class TileMoves:
    """Transfers of bands between the layers of a tiled network. Made by ``tiling.tiled``."""

    before: Mapping[int, Sequence[TileMove]]
    """LOADs and FILLs that are issued before a MacLayer, by its index."""
    after: Mapping[int, Sequence[TileMove]]
    """SPILLs that are issued behind a MacLayer, by its index."""
    barriers: frozenset[int]
    """MacLayers before which all SPILLs must be over: the first of each segment but the first."""
    rows: Mapping[str, tuple[str, range]]
    """Name of a band's tensor -> (tensor of the whole network, which of its rows it holds)."""
    beats: int
    """Beats of external memory that the network takes, weights included."""


@dataclass(frozen=True)
class Schedule:
    """A network mapped onto one NPU: tiles, strips, weight tiles and addresses.

    Made by ``schedule``; found in ``Plan.schedule``.

    >>> from pathlib import Path
    >>> from codesign.design import load
    >>> from models.integer.lower import shape_only
    >>> design = load(Path("examples/digits_tiny.yaml"))
    >>> network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    >>> mapped = schedule(Unfolded(network, None), design.npu, activation_depth=128)
    >>> mapped.words, dict(mapped.strips.rows), mapped.location_of("pool1").base
    (96, {'image': 8, 'pool1': 4, 'pool2': 2}, 64)
    """

    network: IntegerNetwork
    """The network that the NPU runs: its input is unfolded by ``window``, its layers are bands if
    it is tiled."""
    window: InputWindow | None
    """Unfolding of the image by the host; None if the image is sent as it is."""
    config: NpuConfig
    shapes: tuple[LayerShape, ...]
    storage: StoragePlan
    strips: StripPlan
    words: int
    """Words per bank of activation memory that a run of one image needs."""
    parts: tuple[Part, ...]
    """The layers as weight tiles, one per LAYER instruction, in order."""
    allocation: Allocation
    """Addresses of the buffers; with ``keeps_input`` they may take more than ``words``."""
    keeps_input: bool
    """True if ``allocation`` keeps the input image's words from other tensors to the end of a run,
    so that the next image can be loaded beside the layers; never in a tiled network."""
    origins: tuple[int, ...] | None = None
    """First MacLayer that has the weights and the channel table of each MacLayer, by its index;
    shared ones are stored once. None if no two layers share them."""
    moves: TileMoves | None = None
    """Transfers of a tiled network, whose layers are bands of rows; None if feature maps fit."""

    @property
    def tiles(self) -> tuple[TileMap, ...]:
        """Output-channel tiles of each MacLayer, by its index."""
        return self.storage.tiles

    @property
    def weight_words(self) -> int:
        """Words of weight memory that the network needs."""
        return words_needed(self.config, self.parts)

    @property
    def channel_words(self) -> int:
        """Words of the channel table that the network or the NPU's activation tables need."""
        tables = self.config.activation_tables << self.config.activation_bits
        return max(tables, sum(self.tiles[index].channel_words for index in self.distinct))

    @property
    def distinct(self) -> tuple[int, ...]:
        """Indices of the MacLayers whose weights and channel table are stored.

        Layers that share those of an earlier one are left out.
        """
        return tuple(dict.fromkeys(self.origins or range(len(self.shapes))))

    @property
    def channel_bases(self) -> tuple[int, ...]:
        """Address of each MacLayer's first word in the channel table, by its index."""
        words = [self.tiles[index].channel_words for index in self.distinct]
        bases = dict(zip(self.distinct, accumulate(words, initial=0), strict=False))
        return tuple(bases[index] for index in self.origins or range(len(self.shapes)))

    @property
    def result_words(self) -> int:
        """Words of the result buffer that the raw layer's results (the outputs) take."""
        pairs = zip(self.tiles, self.shapes, strict=True)
        return sum(tile.channel_words * shape.positions for tile, shape in pairs if shape.layer.raw)

    def is_image(self, tensor: str) -> bool:
        """Return True if a stored tensor is the network's input or a band of it (if tiled)."""
        name = self.moves.rows[tensor][0] if self.moves else tensor
        return name == self.network.input

    def live_words(self, index: int) -> int:
        """Return the words per bank of all storages whose lifetime includes MacLayer ``index``."""
        step = index + 1
        return sum(
            self.location_of(name).strip_words
            for name, held in self.storage.storages.items()
            if held.first <= step <= held.last
        )

    def location_of(self, tensor: str) -> TensorLocation:
        """Return the address and the strips of a stored tensor (any but the logits)."""
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
    """Return the fastest schedule whose buffers fit ``activation_depth`` words per bank.

    None is no limit. If nothing fits, the schedule that needs the least memory is returned, and the
    caller compares ``words``. The input's words are kept for the next image if there is a limit
    that leaves room for that. Whether weights fit is not considered.
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
    """Return a function from a strip plan to the sum of all layers' cycles, without their issue.

    Plans differ in a few layers, so counts are cached by (layer, rows per lane, drained lanes).
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
    """Return the cycles of ``tiles`` tiles of a layer, without the issue of its instruction.

    The pipeline flush is included. rows: output rows per pixel lane, after max pooling;
    drain_pixels: pixel lanes whose results are drained, once per convolution output; taps: cycles
    of a tile per convolution output, of which a pooling window has several.
    """
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
    """Return addresses of all storages under a strip plan, by their names.

    With ``keep_input`` the image's stays alive to the last layer.
    """
    buffers = {}
    kept = storage.views[network.input].storage if keep_input else None
    for name, held in storage.storages.items():
        _, height, width = network.tensors[name].shape
        rows = min(plan.rows[name], height)
        last = len(shapes) if name == kept else held.last
        buffers[name] = LiveBuffer(rows * width * held.pixel_words, held.first, last)
    return allocate(buffers)
