"""The ends of an imported network: how a host brings codes in and reads codes out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.data.values import PIXELS, InputRange
from models.errors import ModelError
from models.graph.layers import Shape
from models.importing.mapping.walk import INPUT, Walk
from models.importing.readers.foreign import Grid, Ints


@dataclass(frozen=True, eq=False)
class InputEnd:
    """The network's input: ``code = round((gain * x + offset) / scale) + zero_point``.

    Made by ``ends``. x: a value of the file's input. order: flat position in the file's input of
    each of ours, None if they lie alike.
    """

    name: str
    file_shape: tuple[int, ...]
    shape: Shape
    gain: tuple[float, ...]
    """Of each channel."""
    offset: tuple[float, ...]
    grid: Grid | None
    """None of a float network."""
    order: Ints | None = None

    def codes(self, values: object) -> Ints:
        """Return the codes (n, channels, rows, columns) of values (n, ...) of the file's input.

        Raises ModelError for values of another shape, and for a float network.
        """
        if self.grid is None:
            raise ModelError("a float network's input has no codes")
        flat = np.asarray(values, np.float64)
        count = len(flat)
        flat = flat.reshape(count, -1)
        if flat.shape[1] != np.prod(self.shape):
            raise ModelError(f"an input has {np.prod(self.shape)} values, not {flat.shape[1]}")
        if self.order is not None:
            flat = flat[:, self.order]
        maps = flat.reshape(count, *self.shape)
        along = (1, -1, 1, 1)
        real = maps * np.reshape(self.gain, along) + np.reshape(self.offset, along)
        found = np.floor(real / self.grid.scale + 0.5) + self.grid.zero_point
        return np.clip(found, self.grid.low, self.grid.high).astype(np.int64)


def pixel_notes(pixels: InputRange | None) -> list[str]:
    """Return what is assumed of pictures; pixels: values of pixels 0 and 255, None if unsaid."""
    if pixels is not None:
        return []
    return [
        "pixels are taken as the values 0..255 of the file's input; codesign import --pixel-range, "
        "or --pixel-mean and --pixel-std, say otherwise"
    ]


def array_notes(pixels: InputRange | None, bright: bool) -> list[str]:
    """Return what is assumed of arrays, ``bright`` if they look like 8-bit pixels.

    pixels: as for pixel_notes.
    """
    if pixels == PIXELS or not bright:
        return []
    return [
        "whole numbers of arrays, up to 255, are taken as values of the file's input: what "
        "codesign import says of pixels holds for pictures alone"
    ]


@dataclass(frozen=True, eq=False)
class OutputEnd:
    """The network's output: ``y = scale * result``, and its shape in the file.

    Made by ``ends``. order: flat position in our output of each value of the file's, None if they
    lie alike.
    """

    name: str
    file_shape: tuple[int, ...]
    grid: Grid | None
    """Codes that the file rounds its output to; None if it does not."""
    order: Ints | None = None


def ends(found: Walk, output: str) -> tuple[InputEnd, OutputEnd]:
    """Return both ends of a network; output: name of its last tensor in the file."""
    stage = found.stages[INPUT]
    ((name, shape),) = found.graph.inputs.items()
    first = InputEnd(
        name,
        shape,
        stage.shape,
        tuple(map(float, stage.gain)),
        tuple(map(float, stage.bias)),
        stage.grid,
        _unless_straight(found.input_order, stage.shape),
    )
    value = found.values[output]
    index = found.index(value)
    last = found.stages[value.stage]
    order = _unless_straight(index.ravel(), last.shape)
    return first, OutputEnd(output, index.shape, last.grid, order)


def _unless_straight(order: Ints | None, shape: Shape) -> Ints | None:
    """Return the order of an end's values; None if they are all of a map's, and lie alike."""
    if order is None or np.array_equal(order, np.arange(math.prod(shape))):
        return None
    return order
