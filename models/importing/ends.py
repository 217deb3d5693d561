"""The ends of an imported network: how a host brings codes in and reads codes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.data.values import PIXELS, InputRange
from models.errors import ModelError
from models.graph.layers import Shape
from models.importing.mapping.walk import INPUT, Walk
from models.importing.readers.foreign import Grid, Ints
from models.integer.parts import OutputPart


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
    """An output of the network: ``y = scale * result``, and its shape in the file.

    Made by ``ends``. name: of the tensor that the NPU gives. order: flat position in our last
    tensor of each value, None if they lie alike.
    """

    name: str
    file_shape: tuple[int, ...]
    grid: Grid | None
    """Codes that the file rounds its output to; None if it does not."""
    order: Ints | None = None
    file_output: str = ""
    """The output of the file, ``name`` itself or what the host computes of it; its users' name."""

    @property
    def part(self) -> OutputPart:
        """The output as a part of an integer network's."""
        return OutputPart(self.file_output or self.name, self.file_shape)


def input_end(found: Walk) -> InputEnd:
    """Return the input's end of a network."""
    stage = found.stages[INPUT]
    ((name, shape),) = found.graph.inputs.items()
    return InputEnd(
        name,
        shape,
        stage.shape,
        tuple(map(float, stage.gain)),
        tuple(map(float, stage.bias)),
        stage.grid,
        _unless_straight(found.input_order, stage.shape),
    )


def output_ends(
    found: Walk, outputs: Sequence[tuple[str, str]], grids: Mapping[str, Grid | None]
) -> tuple[OutputEnd, ...]:
    """Return the ends of all outputs, which lie in one stage.

    outputs: of each its name in the file, and the tensor that the NPU gives. grids: of tensors. The
    order of an only output is None if it is that of the stage; several all have one.
    """
    made = []
    for output, tensor in outputs:
        value = found.values[tensor]
        index = found.index(value)
        order: Ints | None = index.ravel()
        if len(outputs) == 1:
            order = _unless_straight(order, found.stages[value.stage].shape)
        made.append(OutputEnd(tensor, index.shape, grids[tensor], order, output))
    return tuple(made)


def joined_order(ends: Sequence[OutputEnd]) -> Ints | None:
    """Return the positions of all outputs' values in turn; None for one that lies straight."""
    orders = [end.order for end in ends if end.order is not None]
    return np.concatenate(orders) if orders else None


def _unless_straight(order: Ints | None, shape: Shape) -> Ints | None:
    """Return the order of an end's values; None if they are all of a map's, and lie alike."""
    if order is None or np.array_equal(order, np.arange(math.prod(shape))):
        return None
    return order
