"""Images to stream beats and back, by the tensor layouts of program.json.

A layout (one entry of ``tensors``) says where channel c of a pixel sits: the code of
``activation_bits`` bits at bit ``channel_lanes[c] * activation_bits`` of the pixel's word
``channel_groups[c]``. The stream is the image [rows, columns, pixel_words] in C order, each word
as ``beats_per_word`` 32-bit beats, low beat first. An input with a ``window`` is unfolded before
it is packed: every position of the kernel becomes channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEAT_BITS = 32

Layout = Mapping[str, Any]


class LayoutError(ValueError):
    """Data that do not fit the layout."""


def pack(layout: Layout, codes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Codes [channels, rows, columns] of an image to the beats [layout["beats"]] of a LOAD.

    Raises LayoutError when the shape is another one or a code exceeds ``bits``.
    """
    window = layout["window"]
    shape = tuple(window["shape"] if window else layout["shape"])
    if codes.shape != shape:
        raise LayoutError(f"{layout['name']}: codes must have shape {shape}, not {codes.shape}")
    top = (1 << layout["bits"]) - 1
    if codes.size and int(codes.max()) > top:
        raise LayoutError(f"{layout['name']}: codes must be 0..{top}, not {codes.max()}")
    if window:
        codes = unfold(window, codes)
    bits = layout["activation_bits"]
    words = np.zeros((*codes.shape[1:], layout["pixel_words"], _word_bits(layout)), np.uint8)
    for channel, (group, first) in enumerate(_places(layout)):
        for bit in range(bits):
            words[:, :, group, first + bit] = codes[channel] >> bit & 1
    return np.packbits(words, bitorder="little").view("<u4").astype(np.uint32)


def packets(layout: Layout, codes: NDArray[np.uint8]) -> list[NDArray[np.uint32]]:
    """The image as the LOADs of a program take it, a packet each: whole, or in ``bands`` of rows.

    Raises LayoutError as ``pack`` does.
    """
    beats = pack(layout, codes)
    if not layout.get("bands"):
        return [beats]
    rows = beats.reshape(layout["shape"][1], -1)
    return [rows[first:end].reshape(-1) for first, end in layout["bands"]]


def unfold(window: Mapping[str, Any], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes [channels, rows, columns] with the positions of a kernel as channels (im2col).

    Position (i, j), read every ``stride`` pixels of the padded image, becomes channels
    (i * kernel columns + j) * channels and following.
    """
    (down, right), (step, across) = window["padding"], window["stride"]
    margins = ((0, 0), (down, down), (right, right))
    padded = np.pad(codes, margins, constant_values=window["pad_code"])
    views = np.lib.stride_tricks.sliding_window_view(padded, window["kernel"], axis=(1, 2))
    unfolded = views[:, ::step, ::across].transpose(3, 4, 0, 1, 2)
    return unfolded.reshape(-1, *unfolded.shape[3:])


def unpack(layout: Layout, beats: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The beats of a STORE to codes [channels, rows, columns]; other channels' bits are ignored.

    Raises LayoutError when the number of beats is not ``layout["beats"]``.
    """
    if beats.shape != (layout["beats"],):
        raise LayoutError(f"{layout['name']}: {layout['beats']} beats expected, got {len(beats)}")
    channels, rows, columns = layout["shape"]
    bytes_ = np.ascontiguousarray(beats, "<u4").view(np.uint8)
    words = np.unpackbits(bytes_, bitorder="little").reshape(
        rows, columns, layout["pixel_words"], _word_bits(layout)
    )
    codes = np.zeros((channels, rows, columns), np.uint8)
    for channel, (group, first) in enumerate(_places(layout)):
        for bit in range(layout["activation_bits"]):
            codes[channel] |= words[:, :, group, first + bit] << bit
    return codes


def unpack_logits(layout: Layout, beats: NDArray[np.uint32]) -> NDArray[np.int32]:
    """The beats of an EMIT to logits [classes]. Raises LayoutError for another number of beats."""
    if beats.shape != (layout["beats"],):
        raise LayoutError(f"{layout['name']}: {layout['beats']} beats expected, got {len(beats)}")
    return beats[: layout["classes"]].astype(np.uint32).view(np.int32)


def _word_bits(layout: Layout) -> int:
    return int(layout["beats_per_word"]) * BEAT_BITS


def _places(layout: Layout) -> list[tuple[int, int]]:
    """Per channel: word of the pixel, lowest bit in it."""
    bits = layout["activation_bits"]
    lanes = zip(layout["channel_groups"], layout["channel_lanes"], strict=True)
    return [(group, lane * bits) for group, lane in lanes]
