"""Layouts of tensors on the AXI4-Streams: how to pack an input image and unpack results.

``TensorLayout.to_dict()`` goes into the build folder's program.json; the simulation bench and the
driver pack and unpack by it alone, without the network.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from codesign.compiler.mapping.unfolding import InputWindow
from models.integer.parts import OutputPart
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import STREAM_BITS

LAYOUT_FORMAT = 5
Pair = tuple[int, int]


def word_beats(config: NpuConfig, used_lanes: int) -> int:
    """Return the stream beats, rounded up, that hold the first ``used_lanes`` lanes of a word."""
    return -(-used_lanes * config.activation_bits // STREAM_BITS)


@dataclass(frozen=True)
class TensorLayout:
    """Layout of one activation tensor on the stream of its LOAD or STORE.

    Made by ``compile_network``; found in ``CompiledNetwork.layouts``.

    The stream is, for ``strip`` in range(strips), for ``row`` in range(rows of that strip), for
    ``x`` in range(columns), for ``group`` in range(pixel_words): one activation word of
    ``beats_per_word`` 32-bit beats, low beat first; TLAST on the last beat of all. Rows of a strip
    are ``strip_rows``, of the last one ``last_rows``; image row y is row y % strip_rows of strip
    y // strip_rows. In other words the stream is the image [rows, columns, pixel_words] in C
    order (strips follow each other without gaps).

    Channel c of a pixel is the ``activation_bits``-bit unsigned code at bit
    ``channel_lanes[c] * activation_bits`` of that pixel's word ``channel_groups[c]``. All other
    bits are 0 when packing (LOAD) and must be ignored when unpacking (STORE): they may hold
    padding lanes or another tensor that shares the storage (concat). An input of wider codes is
    stored as their digits of ``activation_bits`` bits, the most significant one there, each further
    one ``digit_words`` words on.

    The input of a tiled network comes in several LOADs (``bands``); its ``base`` and strips are
    those of the last band.
    """

    name: str
    shape: tuple[int, int, int]
    """Channels, rows, columns."""
    bits: int
    """Width of the codes, which are 0..2**bits - 1."""
    zero_point: int
    """Code of the real value 0."""
    scale: float
    """Real value between neighbouring codes: value = scale * (code - zero_point)."""
    activation_bits: int
    """Width of a lane in a word."""
    pixel_words: int
    """Activation words per pixel in the storage, other tensors' words included."""
    beats_per_word: int
    """32-bit beats per activation word; lanes beyond them hold no channel of the tensor."""
    base: int
    """First word address, the same in every bank."""
    strip_rows: int
    """Rows of a full strip."""
    strips: int
    """Number of strips; banks 0..strips - 1 hold rows."""
    last_rows: int
    """Rows of the last strip."""
    channel_groups: tuple[int, ...]
    """Word of the pixel that holds each channel, 0..pixel_words - 1."""
    channel_lanes: tuple[int, ...]
    """Lane of that word for each channel."""
    digit_words: int | None = None
    """Words of a pixel from one digit of the codes to the next less significant one; None if
    ``bits`` is at most ``activation_bits``, so that codes are stored as they are."""
    window: InputWindow | None = None
    """Unfolding (im2col) that the host applies to the input image first; ``shape`` is its result,
    of a band some rows of it. None for other tensors and for an image that is sent as it is."""
    bands: tuple[Pair, ...] | None = None
    """Rows (first, end) of each LOAD's packet in order, end excluded, for the input image of a
    tiled network; None for all other tensors."""
    whole: str | None = None
    """Tensor of the whole network of which this one, a band, holds rows; None if it is no band."""
    rows: Pair | None = None
    """Rows (first, end) of ``whole`` that a band holds, end excluded; None if it is no band."""

    @property
    def words(self) -> int:
        """Activation words of the tensor for one image; rows that two bands share count once."""
        return self.shape[1] * self.shape[2] * self.pixel_words

    @property
    def beats(self) -> int:
        """32-bit stream beats of the tensor for one image; rows that two bands share count once."""
        return self.words * self.beats_per_word

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: every field by its name, ``words`` and ``beats``.

        ``digit_words``, ``bands``, ``whole`` and ``rows`` are left out if they are None.
        """
        fields = dataclasses.asdict(self)
        for name in ("digit_words", "bands", "whole", "rows"):
            if fields[name] is None:
                del fields[name]
        return {**fields, "words": self.words, "beats": self.beats}


@dataclass(frozen=True)
class LogitsLayout:
    """Layout of the outputs on the stream of EMIT: 32-bit signed integers, one a beat.

    The stream is, for ``tile`` in range(tiles), for ``row`` and ``column`` of ``shape``, the
    ``tile_channels`` channels from tile * tile_channels on; those beyond the channels of ``shape``
    are to be ignored. With one row and one column beat c is class c. TLAST on the last beat.

    >>> LogitsLayout("logits", (10, 1, 1), tile_channels=4, beats=12, scale=0.5).classes
    10
    """

    name: str
    shape: tuple[int, int, int]
    """Channels, rows, columns."""
    tile_channels: int
    """Channels of a tile, those that are to be ignored included."""
    beats: int
    scale: float | tuple[float, ...]
    """Real value of one unit of an output, or one for each channel."""
    order: tuple[int, ...] | None = None
    """Position of each output among channels, rows and columns; None: they lie in that order."""
    parts: tuple[OutputPart, ...] = ()
    """Name and shape of each output of an imported network of several, in turn along the outputs,
    or of the only one that is no classes; else empty."""
    offset: tuple[float, ...] = ()
    """Real value of 0 of each channel; empty: 0."""

    @property
    def classes(self) -> int:
        """Number of outputs: channels times rows times columns, unless ``order`` is given."""
        return math.prod(self.shape) if self.order is None else len(self.order)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: every field by its name, and ``classes``.

        ``order`` is left out if it is None, ``parts`` and ``offset`` if they are empty.
        """
        fields = dataclasses.asdict(self)
        if self.order is None:
            del fields["order"]
        for name in ("parts", "offset"):
            if not fields[name]:
                del fields[name]
        return {**fields, "classes": self.classes}
