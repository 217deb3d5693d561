"""Form of program.json: the keys, types, ranges and sizes that readers of it need."""

from __future__ import annotations

import math
from typing import Any

from ..layout import AXES, image_shape
from . import forms, names, reading

_COUNT = range(1 << 32)
_SIDE = range(1, 1 << 16)
_WINDOW = {
    "shape": [_SIDE], "kernel": [_SIDE], "stride": [_SIDE], "dilation": [_SIDE],
    "padding": [range(1 << 16)], "pad_code": range(256), "size": [_SIDE],
}  # fmt: skip
_LAYOUT = {
    "name": str, "shape": [range(1, 1 << 16)], "bits": range(1, 9), "activation_bits": range(1, 9),
    "pixel_words": range(1, 1 << 16), "beats_per_word": range(1, 1 << 8), "beats": _COUNT,
    "channel_groups": [range(1 << 16)], "channel_lanes": [range(1 << 16)],
    "window": (None, _WINDOW), "bands?": (None, [[_COUNT]]), "rows?": [_COUNT],
    "whole?": str,
}  # fmt: skip
_STEP = {
    "index": _COUNT, "opcode": str, "name": str, "tensor?": (None, str), "word": _COUNT,
    "cycles": _COUNT, "wait_cycles": _COUNT, "log": int,
}  # fmt: skip
_PROGRAM = {
    "words": _COUNT, "cycles": _COUNT, "interval_cycles": (None, _COUNT), "instructions": [_STEP],
}  # fmt: skip
_IMAGE = {"base": _COUNT, "words": _COUNT, "columns": range(1, 1 << 12), "pitch": _COUNT}
_FORM = {
    "input": str,
    "output": {
        "name": str, "classes": range(1, 1 << 16), "beats": _COUNT, "shape": [_SIDE],
        "tile_channels": _SIDE, "scale": (float, [float]), "order?": [_COUNT],
        "offset?": [float],
    },
    "memory": {"words": range(1 << 28), "latency_cycles": _COUNT},
    "tensors": {str: _LAYOUT},
    "programs": {"normal": _PROGRAM, "traced?": _PROGRAM, "stream?": _PROGRAM},
    "classes?": (None, [str]),
    "input_range?": (None, {"low": [float], "high": [float]}),
    "input_axes?": str,
    "hardware": {
        "top?": str, "id": _COUNT, "isa_version": _COUNT, "config_hash": _COUNT,
        "registers": {str: _COUNT},
        "errors": {str: _COUNT}, "log": {"base": _COUNT, "entries": range(1, 1 << 16)},
        "program": _IMAGE, "weights": _IMAGE, "channels": _IMAGE,
        "memory": {"port_bits": _COUNT}, "opcodes": {str: _COUNT},
        "fields": {str: {str: [_COUNT]}},
    },
}  # fmt: skip
"""What program.json holds (reading checks it)."""
_MOST_BITS = 1 << 30
"""Most bits of a tensor in memory, its unused lanes counted."""


def check(program: dict[str, Any], where: str) -> None:
    """Raise FileError, starting with ``where``, unless ``program`` has the form of a program.json.

    Its format number, and the tensors that instructions name, are not checked here.
    """
    forms.conform(program, _FORM, where)
    if program["input"] not in program["tensors"]:
        raise reading.FileError(f"{where}: input: is not among the tensors")
    for layout in program["tensors"].values():
        _check_layout(layout, f"{where}: {reading.printable(layout['name'])}")
    _check_input(program, where)
    _check_output(program["output"], f"{where}: output")
    names.identifier(program["hardware"].get("top", "npu"), f"{where}: hardware.top")


def _check_input(program: dict[str, Any], where: str) -> None:
    """Raise FileError unless values of the data set can become codes by what the program says."""
    axes, mapping = program.get("input_axes", "auto"), program.get("input_range")
    if axes not in ("auto", *AXES):
        raise reading.FileError(
            f"{where}: input_axes: must be auto or one of {', '.join(AXES)}, "
            f"not {reading.quoted(axes)}"
        )
    if mapping is None:
        return
    low, high = mapping["low"], mapping["high"]
    channels = image_shape(program["tensors"][program["input"]])[0]
    if not {len(low), len(high)} <= {1, channels}:
        raise reading.FileError(
            f"{where}: input_range: low and high must be 1 or {channels} numbers each"
        )
    lows, highs = (ends * (channels // len(ends)) for ends in (low, high))
    if any(least >= most for least, most in zip(lows, highs, strict=True)):
        raise reading.FileError(f"{where}: input_range: low must be below high")


def _check_output(output: dict[str, Any], where: str) -> None:
    """Raise FileError unless the numbers of the outputs' layout fit each other."""
    shape, scale = output["shape"], output["scale"]
    places = range(math.prod(shape))
    order = output.get("order", places)
    if len(shape) != 3 or len(order) != output["classes"] or max(order, default=0) not in places:
        raise reading.FileError(f"{where}: shape must be 3 numbers whose product is the classes")
    of_tile = output["tile_channels"] * shape[1] * shape[2]
    if output["beats"] % of_tile or output["beats"] < len(places):
        raise reading.FileError(f"{where}: beats must hold whole tiles of all channels")
    if isinstance(scale, list) and len(scale) != shape[0]:
        raise reading.FileError(f"{where}: scale must be a number, or one for each channel")
    if len(output.get("offset", shape[:1] * shape[0])) != shape[0]:
        raise reading.FileError(f"{where}: offset must be a number for each channel")


def _check_layout(layout: dict[str, Any], where: str) -> None:
    """Raise FileError unless the numbers of a layout fit each other and _MOST_BITS."""
    word = 32 * layout["beats_per_word"]
    bits, groups = layout["activation_bits"], layout["channel_groups"]
    lanes, shape = layout["channel_lanes"], layout["shape"]
    window = layout["window"]
    if len(shape) != 3 or not len(groups) == len(lanes) == shape[0]:
        raise reading.FileError(
            f"{where}: shape must be 3 numbers, each channel have a group and a lane"
        )
    if max(groups) >= layout["pixel_words"] or (max(lanes) + 1) * bits > word:
        raise reading.FileError(f"{where}: channels lie outside the words of a pixel")
    pairs = ("kernel", "stride", "dilation", "padding", "size")
    if window and [len(window[key]) for key in ("shape", *pairs)] != [3, *(2 for _ in pairs)]:
        raise reading.FileError(f"{where}: window must have a shape of 3 numbers and pairs")
    if window and "whole" not in layout and window["size"] != shape[1:]:
        raise reading.FileError(f"{where}: window must give {shape[1]}x{shape[2]} positions")
    if shape[1] * shape[2] * layout["pixel_words"] * word > _MOST_BITS:
        raise reading.FileError(f"{where}: takes more than {_MOST_BITS} bits")
    if any(len(ends) != 2 for ends in [*(layout.get("bands") or []), layout.get("rows", (0, 0))]):
        raise reading.FileError(f"{where}: bands and rows must be pairs")
