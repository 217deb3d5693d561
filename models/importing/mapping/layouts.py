"""Layouts of tensors as arrays of positions, so that moving values about costs nothing.

A tensor of a file that holds values of a stage of ours is an integer array of the tensor's shape:
each entry is the flat position of its value in the stage's map (channels, rows, columns). Reshapes,
transposes, slices, splits and channel shuffles are numpy's own on that array; who reads the tensor
asks which channels it holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from models.graph.layers import Shape
from models.importing.readers.foreign import Ints
from models.importing.readers.table import RefusalError

_FINEST = 10**6
"""Largest denominator of a scale: 0.6 as float32 has it is 3/5."""


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


def reduced(index: Ints, shape: Shape) -> tuple[tuple[int, int], Ints] | None:
    """Return the window (rows, columns) whose values each row of ``index`` (n, values) holds.

    That is a whole channel, a whole column or a whole row of a map of ``shape``, in any order;
    beside it the position of each in the map that is left. None if rows hold others.
    """
    channels, rows, cols = shape
    ordered = np.sort(index, axis=1)
    first = ordered[:, 0]
    for window in ((rows, cols), (rows, 1), (1, cols)):
        if window[0] * window[1] != index.shape[1]:
            continue
        places = (np.arange(window[0])[:, None] * cols + np.arange(window[1])).ravel()
        left = np.arange(channels * rows * cols).reshape(shape)[:, :: window[0], :: window[1]]
        found = np.searchsorted(left.ravel(), first)
        known = found < left.size
        known[known] = left.ravel()[found[known]] == first[known]
        if known.all() and (ordered == first[:, None] + places).all():
            return window, found
    return None


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
    """Return ``array`` without axes of length 1: those given, or all, that of the batch, too."""
    try:
        return np.squeeze(array, None if axes is None else tuple(int(axis) for axis in axes))
    except ValueError as error:
        raise RefusalError(str(error), "axes") from None


def unsqueezed(array: Any, axes: Sequence[int]) -> Any:
    """Return ``array`` with axes of length 1 at ``axes`` of the result."""
    ndim = array.ndim + len(axes)
    if len(set(axes)) != len(axes) or any(not -ndim <= axis < ndim for axis in axes):
        raise RefusalError(f"axes {list(axes)} of {array.ndim}", "axes")
    return np.expand_dims(array, tuple(axes))


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
    """Return the parts of ``array`` along an axis: of the given sizes, or ``count`` alike.

    Where the axis cannot be divided alike, ONNX makes the last part smaller than the others.

    >>> [part.tolist() for part in split(np.arange(7), 0, None, 3)]
    [[0, 1, 2], [3, 4, 5], [6]]
    """
    size = array.shape[axis]
    if sizes is None:
        each = -(-size // count)
        sizes = [*[each] * (count - 1), size - each * (count - 1)]
    if sum(sizes) != size or min(sizes) < 0:
        raise RefusalError(f"parts {list(sizes)} of an axis of {size}", "split")
    return np.split(array, np.cumsum(sizes)[:-1], axis)


def blocks(op: str, array: Any, block: int, mode: str) -> Any:
    """Return ``array`` (batch, channels, rows, columns) as DepthToSpace or SpaceToDepth make it.

    mode: DCR or CRD, whether the places of a block or its channels come first.
    """
    if array.ndim != 4 or block < 1:
        raise RefusalError(f"blocks of {block} of {array.ndim} axes", "blocksize")
    batch, channels, rows, cols = array.shape
    part, first = channels // block**2, mode == "CRD"
    try:
        if op == "SpaceToDepth":
            apart = array.reshape(batch, channels, rows // block, block, cols // block, block)
            return apart.transpose((0, 1, 3, 5, 2, 4) if first else (0, 3, 5, 1, 2, 4)).reshape(
                batch, channels * block**2, rows // block, cols // block
            )
        sides = (part, block, block) if first else (block, block, part)
        apart = array.reshape(batch, *sides, rows, cols)
        order = (0, 1, 4, 2, 5, 3) if first else (0, 3, 4, 1, 5, 2)
        return apart.transpose(order).reshape(batch, part, rows * block, cols * block)
    except ValueError:
        raise RefusalError(f"blocks of {block} of {array.shape}", "blocksize") from None


@dataclass(frozen=True)
class Places:
    """Places of a resized axis in its input: at ``ratio * place + offset``.

    Made by ``placed``.

    >>> Places(Fraction(1, 2), Fraction(-1, 4)).of(3).tolist()
    [-1, 1, 3]
    """

    ratio: Fraction
    offset: Fraction

    @property
    def unit(self) -> int:
        """Parts of an input place in which ``of`` counts."""
        return math.lcm(self.ratio.denominator, self.offset.denominator)

    def of(self, count: int) -> Ints:
        """Return the first ``count`` places, in units of ``1 / unit``."""
        found: Ints = np.arange(count) * int(self.ratio * self.unit) + int(self.offset * self.unit)
        return found


def placed(given: Mapping[str, Any], size: int, made: int, scale: float) -> Places:
    """Return where ``made`` places of an axis of ``size`` lie, ``scale`` times as close.

    given: ONNX's attributes of Resize. Raises RefusalError.
    """
    each, half = 1 / Fraction(scale).limit_denominator(_FINEST), Fraction(1, 2)
    centre = (each - 1) * half
    way = given.get("coordinate_transformation_mode", "half_pixel")
    found = {
        "half_pixel": Places(each, centre),
        "pytorch_half_pixel": Places(each, centre if made > 1 else Fraction(0)),
        "half_pixel_symmetric": Places(each, centre + (size - made * each) * half),
        "asymmetric": Places(each, Fraction(0)),
        "align_corners": Places(Fraction(size - 1, max(made - 1, 1)), Fraction(0)),
    }.get(way)
    if found is None:
        raise RefusalError(
            f"resizes by {way}", "coordinate_transformation_mode", "half_pixel or asymmetric"
        )
    return found


def nearest(array: Any, axis: int, made: int, scale: float, given: Mapping[str, Any]) -> Any:
    """Return ``array`` with ``made`` places along an axis, each the nearest of the old ones.

    given: ONNX's attributes of Resize.
    """
    size = array.shape[axis]
    places = placed(given, size, made, scale)
    real = places.of(made) / places.unit
    found = {
        "round_prefer_floor": np.ceil(real - 0.5),
        "round_prefer_ceil": np.floor(real + 0.5),
        "floor": np.floor(real),
        "ceil": np.ceil(real),
    }.get(given.get("nearest_mode", "round_prefer_floor"))
    if found is None:
        raise RefusalError(f"rounds by {given['nearest_mode']}", "nearest_mode")
    return np.take(array, np.clip(found, 0, size - 1).astype(np.int64), axis)


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
