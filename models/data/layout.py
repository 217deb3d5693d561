"""Axes of arrays, guessed or said, and brought to (n, channels, rows, columns)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from numpy.typing import NDArray

from models.errors import DatasetError

_USUAL_CHANNELS = (1, 2, 3, 4)
_MOST_SIGNALS = 16
_LONG = 4
"""An array (n, a, b) holds ``a`` signals of length b if 1 < a <= _MOST_SIGNALS and b >= _LONG * a;
else images of a rows and b columns."""

_MANY_FEATURES = 64
"""Features of an array (n, features) from which it may as well hold signals of one channel."""


class Layout(StrEnum):
    """The axes of an example behind the first, which counts examples.

    Letters: f features, c channels, l length, h rows, w columns; AUTO: guessed from the shape.

    >>> Layout("chw") is Layout.CHANNELS_ROWS_COLUMNS
    True
    """

    AUTO = "auto"
    FEATURES = "f"
    CHANNELS_LENGTH = "cl"
    LENGTH_CHANNELS = "lc"
    ROWS_COLUMNS = "hw"
    CHANNELS_ROWS_COLUMNS = "chw"
    ROWS_COLUMNS_CHANNELS = "hwc"


_AXES = {
    Layout.FEATURES: 2,
    Layout.CHANNELS_LENGTH: 3,
    Layout.LENGTH_CHANNELS: 3,
    Layout.ROWS_COLUMNS: 3,
    Layout.CHANNELS_ROWS_COLUMNS: 4,
    Layout.ROWS_COLUMNS_CHANNELS: 4,
}
_WORDS = {
    Layout.FEATURES: "{1} features; with --layout cl as a signal of length {1}",
    Layout.CHANNELS_LENGTH: "{1} signals of length {2} (channels, length)",
    Layout.ROWS_COLUMNS: "images of {1} rows and {2} columns",
    Layout.CHANNELS_ROWS_COLUMNS: "{1} channels of {2} rows and {3} columns",
    Layout.ROWS_COLUMNS_CHANNELS: "{3} channels, last, of {1} rows and {2} columns",
}


def to_channels_first(
    x: NDArray[Any], layout: Layout, where: str
) -> tuple[NDArray[Any], list[str]]:
    """Return ``x`` as a view (n, channels, rows, columns), and a note if its layout was guessed.

    Features become channels of one pixel, a signal an image of one row; an array of two axes may be
    said to hold signals of one channel. No note is made where only one layout makes sense. where:
    what messages name. Raises DatasetError for another number of axes than 2 to 4 or than
    ``layout`` has, and for an empty array.
    """
    if x.ndim not in (2, 3, 4) or not x.size:
        raise DatasetError(
            f"{where} must be (n, features), (n, rows, columns), (n, channels, length), (n, "
            f"channels, rows, columns) or (n, rows, columns, channels), not {x.shape}"
        )
    notes = []
    if layout is Layout.AUTO:
        layout, sure = _guess(x.shape)
        if not sure:
            words = _WORDS[layout].format(*x.shape)
            otherwise = "" if layout is Layout.FEATURES else "; --layout says otherwise"
            notes.append(f"{where} {x.shape} is read as {words}{otherwise}")
    if x.ndim == 2 and layout in (Layout.CHANNELS_LENGTH, Layout.LENGTH_CHANNELS):
        return x[:, None, None, :], notes
    if _AXES[layout] != x.ndim:
        raise DatasetError(f"{where} {x.shape} cannot have the layout {layout}")
    if layout is Layout.FEATURES:
        return x[:, :, None, None], notes
    if layout is Layout.ROWS_COLUMNS:
        return x[:, None], notes
    if layout is Layout.CHANNELS_LENGTH:
        return x[:, :, None, :], notes
    if layout is Layout.LENGTH_CHANNELS:
        return x.transpose(0, 2, 1)[:, :, None, :], notes
    if layout is Layout.ROWS_COLUMNS_CHANNELS:
        return x.transpose(0, 3, 1, 2), notes
    return x, notes


def _guess(shape: tuple[int, ...]) -> tuple[Layout, bool]:
    """Return the likeliest layout of an array of 2 to 4 axes, and whether no other makes sense.

    shape: the whole array's, first the number of examples.
    """
    if len(shape) == 2:
        return Layout.FEATURES, shape[1] < _MANY_FEATURES
    if len(shape) == 3:
        signals = 1 < shape[1] <= _MOST_SIGNALS and shape[2] >= _LONG * shape[1]
        layout = Layout.CHANNELS_LENGTH if signals else Layout.ROWS_COLUMNS
        square = max(shape[1:]) <= 2 * min(shape[1:])
        return layout, shape[1] == 1 or square
    first, last = (shape[axis] in _USUAL_CHANNELS for axis in (1, 3))
    channels_first = first
    if first == last:
        channels_first = shape[1] <= shape[3]
        square_last, square_first = shape[2] == shape[3], shape[1] == shape[2]
        if square_last != square_first:  # maps are square more often than not
            channels_first = square_last
    layout = Layout.CHANNELS_ROWS_COLUMNS if channels_first else Layout.ROWS_COLUMNS_CHANNELS
    return layout, first != last
