"""Sliding windows of convolutions and poolings: padding, number of windows, reach, divisors.

Shapes are (channels, rows, columns), pairs (rows, columns). Padding is a pair, which pads opposite
sides alike, or four numbers (top, left, bottom, right), the order of ONNX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import ModelError

Shape = tuple[int, int, int]
Pair = tuple[int, int]
Sides = tuple[int, int, int, int]
"""Top, left, bottom, right."""
Padding = Pair | Sides


def at_least(what: str, low: int, *values: object) -> None:
    """Raise ModelError unless all ``values`` of ``what`` are integers of at least ``low``."""
    for value in values:
        if type(value) is not int or value < low:
            raise ModelError(f"{what} must be an integer >= {low}, not {value!r}")


def check_pair(what: str, low: int, value: object) -> None:
    """Raise ModelError unless ``value`` is a pair of integers of at least ``low``."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise ModelError(f"{what} must be (rows, columns), not {value!r}")
    at_least(what, low, *value)


def checked_padding(value: object, most: Pair, rule: str) -> Padding:
    """Return a padding in its shortest form: a pair where opposite sides are padded alike.

    Raises ModelError unless it is two or four integers of 0 to ``most`` (rows, columns), which
    ``rule`` says in words.

    >>> checked_padding((1, 0, 1, 0), (2, 2), "") , checked_padding((0, 0, 1, 1), (2, 2), "")
    ((1, 0), (0, 0, 1, 1))
    """
    if not isinstance(value, tuple) or len(value) not in (2, 4):
        raise ModelError(
            f"padding must be (rows, columns) or (top, left, bottom, right), not {value!r}"
        )
    at_least("padding", 0, *value)
    if any(side > limit for side, limit in zip(value, most * 2, strict=False)):
        raise ModelError(f"padding {value} must be {rule}")
    return value[:2] if value[:2] == value[2:] else value


def sides(padding: Padding) -> Sides:
    """Return the padding as (top, left, bottom, right).

    >>> sides((1, 2))
    (1, 2, 1, 2)
    """
    return padding if len(padding) == 4 else (*padding, *padding)


def extent(kernel: Pair, dilation: Pair) -> Pair:
    """Return the rows and columns from a kernel's first to its last value, both included.

    >>> extent((3, 1), dilation=(2, 2))
    (5, 1)
    """
    rows, cols = ((size - 1) * gap + 1 for size, gap in zip(kernel, dilation, strict=True))
    return rows, cols


@dataclass(frozen=True)
class Windows:
    """Windows of a layer along one axis of its input: ``count`` of them, ``stride`` apart.

    Made by ``windows``.
    """

    size: int
    """Length of the input."""
    extent: int
    stride: int
    before: int
    """Padding before the input."""
    after: int
    """Padding behind it, as the layer states it."""
    count: int

    @property
    def margin(self) -> int:
        """Padding that the last window reaches behind the input; negative if it ends short."""
        return (self.count - 1) * self.stride + self.extent - self.before - self.size

    def divisors(self, include_pad: bool) -> list[int]:
        """Return the number of values that each window averages.

        With ``include_pad`` the stated padding counts, but nothing beyond it.
        """
        low, high = (-self.before, self.size + self.after) if include_pad else (0, self.size)
        starts = (place * self.stride - self.before for place in range(self.count))
        return [min(start + self.extent, high) - max(start, low) for start in starts]


def windows(
    shape: Shape,
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = (1, 1),
    ceil: bool = False,
) -> tuple[Windows, Windows]:
    """Return the windows of a layer over the rows and over the columns of an input of ``shape``.

    Incomplete windows are left out, but with ``ceil`` a last one that begins in the input, or
    in the padding before it, is kept. Raises ModelError if the kernel is larger than the padded
    input.
    """
    top, left, bottom, right = sides(padding)
    spans = extent(kernel, dilation)
    padded = shape[1] + top + bottom, shape[2] + left + right
    if spans[0] > padded[0] or spans[1] > padded[1]:
        raise ModelError(
            f"kernel {spans[0]}x{spans[1]} is larger than its padded input "
            f"{padded[0]}x{padded[1]}; use a smaller kernel, more padding or less pooling before it"
        )
    found = []
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        size, span, step = shape[1 + axis], spans[axis], stride[axis]
        room = padded[axis] - span
        count = room // step + 1
        if ceil and room % step and count * step < size + before:
            count += 1
        found.append(Windows(size, span, step, before, after, count))
    return found[0], found[1]


def one_divisor(axes: Sequence[Windows], include_pad: bool) -> int:
    """Return the number of values that every window averages, over all ``axes``.

    Raises ModelError where windows average different numbers of values: a layer of hardware has one
    divisor for all positions.
    """
    found = 1
    for axis in axes:
        numbers = sorted(set(axis.divisors(include_pad)))
        if len(numbers) > 1:
            raise ModelError(
                f"its windows average {numbers[0]} to {numbers[-1]} values along an axis, and a "
                "layer has one divisor: set count_include_pad: true and ceil_mode: false, or "
                "padding: 0, or use a conv2d with groups equal to its channels"
            )
        found *= numbers[0]
    return found
