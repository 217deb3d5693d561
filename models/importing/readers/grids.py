"""Quantisation as ONNX files say it: scales and zero points, of a tensor or along an axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.readers.foreign import MOST_BITS, Constant, Grid, Node
from models.importing.readers.table import RefusalError


@dataclass(frozen=True, eq=False)
class Rounding:
    """Scales and zero points of a quantised tensor; of weights perhaps one for each channel.

    Made by ``onnx_reading.Reading.rounding``. scale, zero: arrays; they lie along ``axis``, or
    broadcast to the tensor where it is None. narrow: without the lowest code.
    """

    scale: NDArray[Any]
    zero: NDArray[Any]
    bits: int
    signed: bool
    narrow: bool = False
    axis: int | None = None

    def __post_init__(self) -> None:
        scale = np.asarray(self.scale, np.float64)
        if not (np.isfinite(scale).all() and (scale > 0).all() and scale.size):
            raise RefusalError("its scale is not a finite number > 0", "scale")
        if not 1 <= self.bits <= MOST_BITS:
            raise RefusalError(f"codes of {self.bits} bits", "bits", f"1 to {MOST_BITS} bits")
        if not np.array_equal(np.rint(self.zero), self.zero):
            raise RefusalError("its zero point is no integer", "zero_point")
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "zero", np.asarray(np.rint(self.zero), np.int64))

    @property
    def low(self) -> int:
        """Smallest value q of a code in the file."""
        return int(self.narrow) - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest value q of a code in the file."""
        if self.signed:
            return (1 << (self.bits - 1)) - 1
        return (1 << self.bits) - 1 - int(self.narrow)

    def grid(self) -> Grid:
        """Return the grid of an activation. Raises RefusalError."""
        if self.scale.size != 1 or self.zero.size != 1:
            raise RefusalError(
                f"an activation with {self.scale.size} scales", "scale", "one scale for the tensor"
            )
        base = 1 << (self.bits - 1) if self.signed else 0
        zero = int(self.zero.ravel()[0]) + base
        if not 0 <= zero < 1 << self.bits:
            raise RefusalError(f"zero point {self.zero.ravel()[0]}", "zero_point")
        scale = float(self.scale.ravel()[0])
        return Grid(scale, zero, self.bits, self.signed, self.low + base, self.high + base)

    def decoded(self, found: Constant) -> Constant:
        """Return a constant of which the file holds the codes q. Raises RefusalError."""
        if found.codes is not None:
            return found
        scale, zero = self._along(found.values)
        codes = found.values.astype(np.int64) - zero
        return Constant(codes * scale, codes, np.asarray(scale), self._offset())

    def rounded(self, found: Constant) -> Constant:
        """Return a constant of real values, rounded to codes. Raises RefusalError."""
        scale, zero = self._along(found.values)
        codes = np.clip(np.rint(found.values / scale) + zero, self.low, self.high)
        codes = codes.astype(np.int64) - zero
        return Constant(codes * scale, codes, np.asarray(scale), self._offset())

    def _offset(self) -> int:
        middle = 0 if self.signed else 1 << (self.bits - 1)
        offsets = np.ravel(self.zero) - middle
        return int(offsets[np.abs(offsets).argmax()])

    def _along(self, values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return scale and zero point as arrays that broadcast to ``values``."""
        scale, zero = self.scale, self.zero
        if self.axis is not None and scale.size > 1:
            axis = self.axis + values.ndim if self.axis < 0 else self.axis
            whole = 0 <= axis < values.ndim and scale.ndim == 1
            if not whole or values.shape[axis] != scale.size or zero.size not in (1, scale.size):
                raise RefusalError(
                    f"{scale.shape} scales along axis {axis} of {values.shape}",
                    "axis",
                    "a scale for the tensor, or for each channel along one axis",
                )
            along = [1] * values.ndim
            along[axis] = -1
            scale = scale.reshape(along)
            zero = zero.reshape(along) if zero.size > 1 else zero.reshape(())
        elif scale.size == 1:
            scale, zero = scale.reshape(()), zero.reshape(()) if zero.size == 1 else zero
        try:
            np.broadcast_to(scale, values.shape), np.broadcast_to(zero, values.shape)
        except ValueError:
            raise RefusalError(f"{scale.shape} scales of {values.shape}", "scale") from None
        return scale, zero


def narrowed(given: Rounding, low: int, high: int) -> Rounding:
    """Return a rounding with the codes low..high alone. Raises RefusalError if they have no bits.

    >>> narrowed(Rounding(np.array(0.5), np.array(0), 8, True), -7, 7)
    Rounding(scale=array(0.5), zero=array(0), bits=4, signed=True, narrow=True, axis=None)
    """
    bits = max(high, 0).bit_length() + int(low < 0)
    made = replace(given, bits=max(bits, 1), signed=low < 0, narrow=False)
    if made.low == low - 1:
        made = replace(made, narrow=True)
    if (made.low, made.high) != (low, high):
        raise RefusalError(f"clips codes to {low}..{high}", "min", "the codes of 1 to 8 bits")
    return made


def grid_of(node: Node) -> Grid | None:
    """Return the grid of a Quantise or Dequantise node; None if it has none."""
    found = node.attributes["grid"]
    return found.grid() if isinstance(found, Rounding) else found
