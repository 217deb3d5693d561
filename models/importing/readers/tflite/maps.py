"""Operators of TensorFlow Lite that make maps of another size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.importing.readers.foreign import Node
from models.importing.readers.tflite.calls import FIRST, LAST, Call, result


def transposed(call: Call) -> list[Node]:
    """Read a transposed convolution, whose output's shape is known."""
    options = call.options("TransposeConvOptions")
    kernel, before, after = (f"{call.name}#{part}" for part in ("kernel", "first", "map"))
    activation = getattr(options, "FusedActivationFunction", lambda: 0)()
    stride = (options.StrideH(), options.StrideW())
    sides = call.out_shape()[1:3]
    return [
        call.helper("Transpose", (call.inputs[1],), kernel, perm=(3, 0, 1, 2)),
        call.helper("Transpose", (call.inputs[2],), before, perm=FIRST),
        call.node("ConvTranspose", (before, kernel, *call.inputs[3:4]), after,
                  strides=stride, auto_pad="SAME_UPPER", output_shape=sides),
        call.helper("Transpose", (after,), f"{call.name}#last", perm=LAST),
        *result(call, f"{call.name}#last", activation),
    ]  # fmt: skip


def nearest(call: Call) -> list[Node]:
    """Read a resizing to the nearest values."""
    options = call.options("ResizeNearestNeighborOptions")
    corners = bool(options and options.AlignCorners())
    centres = bool(options and options.HalfPixelCenters())
    way = "align_corners" if corners else "half_pixel" if centres else "asymmetric"
    how = {
        "coordinate_transformation_mode": way,
        "nearest_mode": "round_prefer_ceil" if corners or centres else "floor",
    }
    sizes = call.constant("sizes", np.array(call.out_shape(), np.int64))
    value = f"{call.name}#resized"
    return [
        call.node("Resize", (call.inputs[0], "", "", sizes), value, **how),
        *result(call, value),
    ]


def bilinear(call: Call) -> list[Node]:
    """Read a bilinear resizing."""
    options = call.options("ResizeBilinearOptions")
    corners = bool(options and options.AlignCorners())
    centres = bool(options and options.HalfPixelCenters())
    way = "align_corners" if corners else "half_pixel" if centres else "asymmetric"
    batch, rows, cols, channels = call.out_shape()
    sizes = call.constant("sizes", np.array([batch, channels, rows, cols], np.int64))
    first, made, last = (f"{call.name}#{part}" for part in ("first", "resized", "last"))
    how = {"coordinate_transformation_mode": way, "mode": "linear"}
    return [
        call.helper("Transpose", call.inputs[:1], first, perm=FIRST),
        call.node("Resize", (first, "", "", sizes), made, **how),
        call.helper("Transpose", (made,), last, perm=LAST),
        *result(call, last),
    ]


def blocks(op: str) -> Callable[[Call], list[Node]]:
    """Return the reader of what moves blocks of places to channels, or back."""

    def made(call: Call) -> list[Node]:
        size = call.options(f"{op}Options").BlockSize()
        first, moved = f"{call.name}#first", f"{call.name}#moved"
        return [
            call.helper("Transpose", call.inputs, first, perm=FIRST),
            call.node(op, (first,), moved, blocksize=size),
            call.helper("Transpose", (moved,), f"{call.name}#last", perm=LAST),
            *result(call, f"{call.name}#last"),
        ]

    return made
