"""Where tensors sit on the streams: data enough to pack an image and to unpack a tensor.

``TensorLayout.to_dict()`` goes into the build folder's program.json; the simulation bench and the
driver, which know no networks, pack and unpack by it alone.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from codesign.compiler.mapping.unfolding import InputWindow

LAYOUT_FORMAT = 4
Pair = tuple[int, int]


@dataclass(frozen=True)
class TensorLayout:
    """Stream image of one activation tensor: LOAD reads it, STORE writes it.

    The stream is, for ``strip`` in range(strips), for ``row`` in range(rows of that strip), for
    ``x`` in range(columns), for ``group`` in range(pixel_words): one activation word of
    ``beats_per_word`` 32-bit beats, low beat first; TLAST on the last beat of all. Rows of a strip
    are ``strip_rows``, of the last one ``last_rows``; image row y is row y % strip_rows of strip
    y // strip_rows. In other words the stream is the image [rows, columns, pixel_words] in C
    order (strips follow each other without gaps).

    Channel c of a pixel is the ``activation_bits``-bit unsigned code at bit
    ``channel_lanes[c] * activation_bits`` of that pixel's word ``channel_groups[c]``. All other
    bits are 0 when packing (LOAD) and must be ignored when unpacking (STORE): they may hold
    padding lanes or another tensor that shares the storage (concat).
    """

    name: str
    shape: tuple[int, int, int]
    """Channels, rows, columns."""
    bits: int
    """Codes are 0..2**bits - 1; bits <= activation_bits."""
    zero_point: int
    """Code of the real value 0."""
    scale: float
    """Real value of one code step."""
    activation_bits: int
    """Lane width in a word."""
    pixel_words: int
    """Activation words per pixel in the storage, other tensors' words included."""
    beats_per_word: int
    base: int
    """First word address, the same in every bank."""
    strip_rows: int
    strips: int
    """Banks that hold rows: banks 0..strips - 1."""
    last_rows: int
    channel_groups: tuple[int, ...]
    """Per channel: word of the pixel, 0..pixel_words - 1."""
    channel_lanes: tuple[int, ...]
    """Per channel: lane of that word."""
    window: InputWindow | None = None
    """The input only: the host unfolds the image by it first; ``shape`` is what that gives."""
    bands: tuple[Pair, ...] | None = None
    """The input of a tiled network only: rows (first, end) of each LOAD's packet, in order."""
    whole: str | None = None
    """The tensor of a tiled network that this is rows of, ..."""
    rows: Pair | None = None
    """... and which: first, end."""

    @property
    def words(self) -> int:
        """Activation words of one image, over all strips."""
        return self.shape[1] * self.shape[2] * self.pixel_words

    @property
    def beats(self) -> int:
        """Stream beats of one image."""
        return self.words * self.beats_per_word

    def to_dict(self) -> dict[str, Any]:
        """JSON form: every field, plus ``words`` and ``beats``; of a tiled network's fields those
        that say something."""
        fields = dataclasses.asdict(self)
        for name in ("bands", "whole", "rows"):
            if fields[name] is None:
                del fields[name]
        return {**fields, "words": self.words, "beats": self.beats}


@dataclass(frozen=True)
class LogitsLayout:
    """The EMIT stream: class c is beat c, a 32-bit two's complement integer.

    ``beats`` >= classes; beats beyond the classes are to be ignored. TLAST on the last beat.
    """

    name: str
    classes: int
    beats: int
    scale: float
    """Real value of one step."""

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
