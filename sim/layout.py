"""Conversion of tensors to stream beats and back, by the tensor layouts of program.json.

A layout (one entry of ``tensors``) gives the place of channel c of a pixel: its code of
``activation_bits`` bits is at bit ``channel_lanes[c] * activation_bits`` of the pixel's word
``channel_groups[c]``. The stream is the array (rows, columns, pixel_words) in C order, each word as
``beats_per_word`` 32-bit beats, low beat first. With ``digit_words`` the codes of ``bits`` bits are
stored as digits of ``activation_bits`` bits, the most significant one there and each further one
``digit_words`` words of the pixel on. An input whose ``window`` is not None is unfolded
(im2col) before it is packed: every kernel position becomes channels of its own. ``shape`` is
(channels, rows, columns), after unfolding.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEAT_BITS = 32
"""Width of a stream beat."""
LEVELS_TOP = 255
"""Highest input level; levels are the 8-bit values that input codes are made of."""

AXES = {"f": "nc", "cl": "ncw", "lc": "nwc", "hw": "nhw", "chw": "nchw", "hwc": "nhwc"}
"""Order of a data set's axes -> what each is: example, channel, row (h) or column (w). Axes that
are left out have one element."""

Layout = Mapping[str, Any]
"""One entry of ``tensors``, or ``output``, in program.json."""


class LayoutError(ValueError):
    """Data do not fit the layout; the message says what it expects."""


def image_shape(layout: Layout) -> tuple[int, int, int]:
    """Return (channels, rows, columns) of an image as the host has it, before any unfolding."""
    channels, rows, columns = (layout["window"] or layout)["shape"]
    return channels, rows, columns


def check(layout: Layout, codes: NDArray[Any]) -> None:
    """Raise LayoutError unless ``codes``, of one image or many, are integers 0..2**bits - 1.

    codes: must be (channels, rows, columns) or (n, channels, rows, columns), before any unfolding.
    bits: that of the layout. No codes (n = 0) pass.
    """
    shape = image_shape(layout)
    if codes.shape[-3:] != shape or codes.ndim > 4:
        raise LayoutError(f"{layout['name']}: codes must have shape {shape}, not {codes.shape}")
    if codes.dtype.kind not in "iu":
        raise LayoutError(f"{layout['name']}: codes must be integers, not {codes.dtype}")
    top = (1 << layout["bits"]) - 1
    for end in (codes.min(), codes.max()) if codes.size else ():
        if not 0 <= int(end) <= top:
            raise LayoutError(f"{layout['name']}: codes must be 0..{top}, not {end}")


def to_images(layout: Layout, axes: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return examples as the data set had them as images, (n, channels, rows, columns).

    axes: a key of AXES; ``auto``: those of AXES, in this order, that give the network's shape.
    Images with channels first are always taken. Raises LayoutError for any other shape.
    """
    shape = image_shape(layout)
    for name in AXES if axes == "auto" else (axes, "chw"):
        order = AXES[name]
        if values.ndim == len(order):
            moved = values.transpose([order.index(axis) for axis in "nchw" if axis in order])
            absent = [place for place, axis in enumerate("nchw") if axis not in order]
            images = np.expand_dims(moved, absent)
            if images.shape[1:] == shape:
                return images
    wanted = f"(n, {', '.join(map(str, shape))})"
    also = "" if axes in ("auto", "chw") else f", or their axes in the order of {axes!r}"
    raise LayoutError(
        f"{layout['name']}: values must have shape {wanted}{also}, not {values.shape}"
    )


def quantise(
    layout: Layout, input_range: Mapping[str, Any], values: NDArray[Any]
) -> tuple[NDArray[np.uint8], float]:
    """Return the input codes of values, and the fraction of values that had to be clipped.

    values, codes: (n, channels, rows, columns), not checked. input_range: ``low`` and ``high``, of
    one number or one for each channel, become level 0 and 255; values beyond are clipped, those
    between become a whole level, and a level the code level * (2**bits - 1) / 255, both rounded
    half up. Raises LayoutError for values that are no finite numbers.
    """
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all():
        raise LayoutError(f"{layout['name']}: values must be finite numbers")
    low, high = (np.array(input_range[end], np.float64)[:, None, None] for end in ("low", "high"))
    scaled = (values.astype(np.float64) - low) * (LEVELS_TOP / (high - low))
    levels = np.floor(np.clip(scaled, 0, LEVELS_TOP) + 0.5).astype(np.int64)
    top = (1 << layout["bits"]) - 1
    codes = ((levels * (2 * top) + LEVELS_TOP) // (2 * LEVELS_TOP)).astype(np.uint8)
    outside = (values < low) | (values > high)
    return codes, float(outside.mean()) if values.size else 0.0


def pack(layout: Layout, codes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the input beats of an image, uint32 (layout["beats"],), as a LOAD takes them.

    codes: integers (channels, rows, columns), before any unfolding. Raises LayoutError as ``check``
    does.
    """
    check(layout, codes)
    window = layout["window"]
    if window:
        codes = unfold(window, codes)
    words = np.zeros((*codes.shape[1:], layout["pixel_words"], _word_bits(layout)), np.uint8)
    for channel, (group, first) in enumerate(_places(layout)):
        for bit, (word, place) in enumerate(_bit_places(layout)):
            words[:, :, group + word, first + place] = codes[channel] >> bit & 1
    return np.packbits(words, bitorder="little").view("<u4").astype(np.uint32)


def packets(layout: Layout, codes: NDArray[np.uint8]) -> list[NDArray[np.uint32]]:
    """Return an image as the packets that a program's LOADs take: one, or one per band of rows.

    ``bands`` of the layout are pairs (first row, row behind the last), which may overlap. Raises
    LayoutError as ``pack`` does.
    """
    beats = pack(layout, codes)
    if not layout.get("bands"):
        return [beats]
    rows = beats.reshape(layout["shape"][1], -1)
    return [rows[first:end].reshape(-1) for first, end in layout["bands"]]


def unfold(window: Mapping[str, Any], codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Unfold an image (im2col): the positions of a kernel window become channels.

    codes: (channels, rows, columns), which is padded with ``pad_code`` by ``padding`` (rows above,
    columns left), and below and right as far as needed; not changed. Kernel position (i, j) of
    ``kernel`` (rows, columns), ``dilation`` (rows, columns) pixels apart, at every ``stride``
    (rows, columns) pixels, becomes ``channels`` channels from (i * kernel_columns + j) * channels
    on. Returns (channels * kernel positions, *``size``), where ``size`` is (rows, columns).
    """
    margins, spans = [(0, 0)], []
    for axis, before in enumerate(window["padding"]):
        spans.append((window["kernel"][axis] - 1) * window["dilation"][axis] + 1)
        reach = (window["size"][axis] - 1) * window["stride"][axis] + spans[axis]
        margins.append((before, max(0, reach - before - codes.shape[1 + axis])))
    padded = np.pad(codes, margins, constant_values=window["pad_code"])
    views = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=(1, 2))
    (step, across), (rows, cols), (down, right) = (
        window[key] for key in ("stride", "size", "dilation")
    )
    chosen = views[:, ::step, ::across, ::down, ::right][:, :rows, :cols]
    unfolded = chosen.transpose(3, 4, 0, 1, 2)
    return unfolded.reshape(-1, rows, cols)


def unpack(layout: Layout, beats: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the codes, uint8 (channels, rows, columns), in the beats that a STORE sends.

    Bits of other channels in the same words are ignored. Raises LayoutError if the number of beats
    is not ``layout["beats"]``.
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
        for bit, (word, place) in enumerate(_bit_places(layout)):
            codes[channel] |= words[:, :, group + word, first + place] << bit
    return codes


def unpack_logits(layout: Layout, beats: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Return the outputs, int32 (classes,), in the beats that an EMIT sends, one a beat.

    Those of a map are in the order of channels, rows and columns, or in the layout's own. Beats of
    channels that the layout's ``shape`` lacks are ignored. Raises LayoutError if the number of
    beats is not ``layout["beats"]``.
    """
    if beats.shape != (layout["beats"],):
        raise LayoutError(f"{layout['name']}: {layout['beats']} beats expected, got {len(beats)}")
    channels, rows, columns = layout["shape"]
    tiles = beats.astype(np.uint32).view(np.int32)
    tiles = tiles.reshape(-1, rows, columns, layout["tile_channels"]).transpose(0, 3, 1, 2)
    return _ordered(layout, tiles.reshape(-1, rows, columns)[:channels].reshape(-1))


def real(layout: Layout, outputs: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return outputs (n, classes) as real values: of each channel times its scale, plus its offset.

    layout: ``output`` of program.json, whose ``scale`` is a number or one for each channel, as its
    ``offset`` is, if there is one.
    """
    channels, rows, columns = layout["shape"]
    steps, starts = (
        _ordered(layout, np.repeat(np.broadcast_to(np.array(each), channels), rows * columns))
        for each in (layout["scale"], layout.get("offset", 0.0))
    )
    values: NDArray[np.float64] = outputs * steps + starts
    return values


def split(layout: Layout, outputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return each of a network's outputs by its name, of the values of all (n, classes).

    layout: ``output`` of program.json; of one without ``parts`` that is the only one, by the name
    of its tensor, (n, classes). Others are (n, ...) with their own shapes, whose leading 1 stands
    for the image.
    """
    if "parts" not in layout:
        return {layout["name"]: outputs}
    found, start = {}, 0
    for part in layout["parts"]:
        size, shape = int(np.prod(part["shape"])), list(part["shape"])
        shape = shape[1:] if shape[:1] == [1] else shape
        found[part["name"]] = outputs[:, start : start + size].reshape(len(outputs), *shape)
        start += size
    return found


def _ordered(layout: Layout, values: NDArray[Any]) -> NDArray[Any]:
    """Return values of channels, rows and columns in the order of the layout's outputs."""
    return values[np.asarray(layout["order"])] if "order" in layout else values


def _word_bits(layout: Layout) -> int:
    return int(layout["beats_per_word"]) * BEAT_BITS


def _places(layout: Layout) -> list[tuple[int, int]]:
    """Return, for each channel, (number of the pixel's word that holds it, its lowest bit there).

    Both count from 0; the channels are those after any unfolding.
    """
    bits = layout["activation_bits"]
    lanes = zip(layout["channel_groups"], layout["channel_lanes"], strict=True)
    return [(group, lane * bits) for group, lane in lanes]


def _bit_places(layout: Layout) -> list[tuple[int, int]]:
    """Return, for each bit of a code from the lowest on, (words behind that of ``_places``, bit of
    the digit there)."""
    width, step = layout["activation_bits"], layout.get("digit_words", 0)
    digits = -(-layout["bits"] // width) if step else 1
    return [((digits - 1 - k) * step, bit) for k in range(digits) for bit in range(width)]
