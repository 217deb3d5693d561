"""Layouts of tensors as arrays of positions, so that moving values about costs nothing.

A tensor of a file that holds values of a stage of ours is an integer array of the tensor's shape:
each entry is the flat position of its value in the stage's map (channels, rows, columns). Reshapes,
transposes, slices, splits and channel shuffles are numpy's own on that array; who reads the tensor
asks which channels it holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.graph.layers import Shape
from models.importing.readers.foreign import Ints
from models.importing.readers.table import RefusalError


def positions(shape: Sequence[int]) -> Ints:
    """Return the layout of a tensor that lies as its stage does.

    >>> positions((1, 2, 1, 2)).tolist()
    [[[[0, 1]], [[2, 3]]]]
    """
    return np.arange(math.prod(shape), dtype=np.int64).reshape(tuple(shape))


def map_shape(shape: Sequence[int]) -> Shape:
    """Return (channels, rows, columns) of a tensor of one image. Raises RefusalError.

    >>> map_shape((1, 40, 100)), map_shape((1, 16))
    ((40, 1, 100), (16, 1, 1))
    """
    sides = tuple(shape)
    if len(sides) > 4 or (len(sides) > 1 and sides[0] != 1):
        raise RefusalError(
            f"a tensor of shape {sides} is no map of one image",
            "shape",
            "export the model for a batch of 1",
        )
    if len(sides) < 2:
        return (math.prod(sides), 1, 1)
    sides = sides[1:]
    if len(sides) == 1:
        return (sides[0], 1, 1)
    return (sides[0], 1, sides[1]) if len(sides) == 2 else (sides[0], sides[1], sides[2])


def channels(index: Ints, shape: Shape) -> Ints | None:
    """Return which channel of its stage each channel of a tensor is.

    index: layout of a tensor (1, channels, ...); shape: the stage's. None if rows and columns do
    not lie as in the stage.

    >>> channels(positions((1, 2, 3, 3))[:, ::-1], (2, 3, 3)).tolist()
    [1, 0]
    """
    size = shape[1] * shape[2]
    if index.size % size or map_shape(index.shape)[1:] != shape[1:]:
        return None
    maps = index.reshape(-1, size)
    found = maps[:, 0] // size
    whole = maps == found[:, None] * size + np.arange(size)
    return found if bool(whole.all()) else None


def whole_channels(index: Ints, shape: Shape) -> Ints | None:
    """Return the channel of which each row of ``index`` (n, values) holds all values, in any order.

    None if one holds others.
    """
    size = shape[1] * shape[2]
    if index.shape[1] != size:
        return None
    ordered = np.sort(index, axis=1)
    found = ordered[:, 0] // size
    whole = ordered == found[:, None] * size + np.arange(size)
    return found if bool(whole.all()) else None


def reshaped(array: Any, target: Sequence[int], allow_zero: bool = False) -> Any:
    """Return ``array`` in the shape that a Reshape node asks for (0: as before, -1: the rest)."""
    sides = [
        array.shape[i] if side == 0 and not allow_zero and i < array.ndim else int(side)
        for i, side in enumerate(target)
    ]
    try:
        return array.reshape(sides)
    except ValueError:
        raise RefusalError(
            f"shape {list(target)} does not fit the input's {array.shape}", "shape"
        ) from None


def flattened(array: Any, axis: int) -> Any:
    """Return ``array`` with the axes before ``axis`` made one, and those from it on."""
    axis = axis + array.ndim if axis < 0 else axis
    return array.reshape(math.prod(array.shape[:axis]), -1)


def squeezed(array: Any, axes: Sequence[int] | None) -> Any:
    """Return ``array`` without axes of length 1: those given, or all but the first."""
    if axes is None:
        axes = [i for i, side in enumerate(array.shape) if side == 1 and i]
    try:
        return np.squeeze(array, tuple(int(axis) for axis in axes))
    except ValueError as error:
        raise RefusalError(str(error), "axes") from None


def sliced(
    array: Any,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None,
    steps: Sequence[int] | None,
) -> Any:
    """Return a slice of ``array`` as ONNX's Slice means it."""
    axes = list(range(len(starts))) if axes is None else [int(a) % array.ndim for a in axes]
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise RefusalError(f"{len(starts)} starts, {len(ends)} ends, {len(axes)} axes", "starts")
    cut = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        stop: int | None = int(end)
        if step < 0 and end < -array.shape[axis]:
            stop = None
        cut[axis] = slice(int(start), stop, int(step))
    found = array[tuple(cut)]
    if not found.size:
        raise RefusalError("nothing is left of the input", "starts")
    return found


def split(array: Any, axis: int, sizes: Sequence[int] | None, count: int) -> list[Any]:
    """Return the parts of ``array`` along an axis: of the given sizes, or ``count`` alike."""
    if sizes is None:
        return np.array_split(array, count, axis)
    if sum(sizes) != array.shape[axis]:
        raise RefusalError(f"parts {list(sizes)} of an axis of {array.shape[axis]}", "split")
    return np.split(array, np.cumsum(sizes)[:-1], axis)


def padding_of(attributes: Mapping[str, Any], sizes: Sequence[int], window: Sequence[int],
               stride: Sequence[int]) -> tuple[int, int, int, int]:  # fmt: skip
    """Return the padding (top, left, bottom, right) of a window over a map of ``sizes``.

    window: its (rows, columns), dilation included. Raises RefusalError.
    """
    auto = attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for size, reach, step in zip(sizes, window, stride, strict=True):
            need = max((-(-size // step) - 1) * step + reach - size, 0)
            small, large = need // 2, need - need // 2
            before.append(small if auto == "SAME_UPPER" else large)
            after.append(large if auto == "SAME_UPPER" else small)
        return (before[0], before[1], after[0], after[1])
    pads = [int(pad) for pad in attributes.get("pads", ())] if auto == "NOTSET" else []
    if len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
    if auto not in ("NOTSET", "VALID") or len(pads) not in (0, 4) or min(pads, default=0) < 0:
        raise RefusalError(f"padding {auto} {pads} is not known", "pads")
    return (pads[0], pads[1], pads[2], pads[3]) if pads else (0, 0, 0, 0)
