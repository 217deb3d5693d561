"""QONNX's operators: Quant, BipolarQuant, MultiThreshold, and those with channels last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.arithmetic import MOST_THRESHOLD_BITS
from models.importing.readers.foreign import Node
from models.importing.readers.grids import Rounding
from models.importing.readers.onnx_reading import Reading
from models.importing.readers.table import RefusalError

_ROUNDINGS = ("ROUND", "HALF_EVEN", "HALF_UP", "ROUND_TO_NEAREST")
"""Modes that differ only halfway between two codes."""
_EVEN = 1e-3
"""Largest difference of distances that count as equal, in steps: of codes of up to
MOST_THRESHOLD_BITS bits that is what float32 tells apart instead."""
_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)

_LAST_LAYOUTS = {"NHWC": (_FIRST, _LAST), "NWC": ((0, 2, 1), (0, 2, 1))}
"""Layout with channels last -> the axes that bring channels first, and those that bring it back."""


def quant(reading: Reading, node: Node) -> list[Node]:
    """Read Quant(x, scale, zero_point, bits): rounding to codes and back to real values."""
    given = node.attributes
    mode = str(given.get("rounding_mode", "ROUND")).upper()
    if mode not in _ROUNDINGS:
        raise RefusalError(f"rounds by {mode}", "rounding_mode", "ROUND")
    scale = reading.values(node, 1, "scale")
    zero = reading.values(node, 2, "zero_point")
    bits = np.ravel(reading.values(node, 3, "bits"))
    if bits.size != 1 or float(bits[0]) != int(bits[0]):
        raise RefusalError("codes of several widths, or of no whole number of bits", "bits")
    rounding = Rounding(
        scale, zero, int(bits[0]), bool(given.get("signed", 1)), bool(given.get("narrow", 0))
    )
    return [replace(node, op="Quantise", inputs=node.inputs[:1], attributes={"grid": rounding})]


def bipolar(reading: Reading, node: Node) -> list[Node]:
    """Read BipolarQuant(x, scale) of weights: their sign times the scale."""
    scale = reading.values(node, 1, "scale")
    if node.inputs[0] not in reading.constants:
        raise RefusalError(
            "activations of +1 and -1 have no code for 0", "", "activations of 2 bits or more"
        )
    signs = np.where(reading.constants[node.inputs[0]].values >= 0, 1, -1)
    name = reading.store(f"{node.outputs[0]}#signs", signs.astype(np.int8))
    rounding = Rounding(scale, np.zeros(1), 2, True, narrow=True)
    return [replace(node, op="Dequantise", inputs=(name,), attributes={"grid": rounding})]


def thresholds(reading: Reading, node: Node) -> list[Node]:
    """Read MultiThreshold: steps of equal distance in each channel are a scale and a rounding.

    Others stay thresholds, of codes of up to MOST_THRESHOLD_BITS bits. ``y = out_scale * (number of
    thresholds <= x) + out_bias``. The roundings have the levels that codes begin at, too, as sums
    that equal a threshold must reach it.
    """
    given = node.attributes
    layout = given.get("data_layout", "NCHW")
    if layout in _LAST_LAYOUTS:
        first, last = _LAST_LAYOUTS[layout]
        before, after = f"{node.outputs[0]}#first", f"{node.outputs[0]}#map"
        inner = replace(
            node, inputs=(before, *node.inputs[1:]), outputs=(after,),
            attributes={**given, "data_layout": "NCHW"},
        )  # fmt: skip
        return [
            Node(node.name, "Transpose", (node.inputs[0],), (before,), {"perm": first}),
            *thresholds(reading, inner),
            Node(node.name, "Transpose", (after,), node.outputs, {"perm": last}),
        ]
    if layout not in ("NCHW", "NCW", "NC"):
        raise RefusalError(f"layout {layout}", "data_layout", "NCHW, or NHWC of four axes")
    table = np.asarray(reading.values(node, 1, "thresholds"), np.float64)
    if table.ndim != 2 or not table.size:
        raise RefusalError(
            f"thresholds of shape {table.shape}",
            "thresholds",
            "(channels, 2**bits - 1), or (1, ..)",
        )
    if not np.isfinite(table).all():
        raise RefusalError("thresholds that are not finite (NaN or infinity)", "thresholds")
    scale, bias = float(given.get("out_scale", 1.0)), float(given.get("out_bias", 0.0))
    if not (0 < scale < np.inf and np.isfinite(bias)):
        raise RefusalError(
            f"out_scale {scale:g} with out_bias {bias:g}", "out_scale", "finite ones, above 0"
        )
    count = table.shape[1]
    bits = (count + 1).bit_length() - 1
    if count + 1 != 1 << bits or bias / scale != round(bias / scale):
        raise RefusalError(
            f"{count} thresholds with out_bias {bias:g}",
            "thresholds",
            "2**bits - 1 thresholds in each channel, out_bias a multiple of out_scale",
        )
    grid = Rounding(np.array(scale), np.array(-bias / scale), bits, bias < 0)
    if bias < 0:  # codes of a signed tensor are counted from its lowest value
        grid = replace(grid, zero=np.array(-bias / scale - (1 << (bits - 1))))
    # One threshold alone has no distance that a scale and a rounding could follow from.
    steps = np.diff(table, axis=1) if count > 1 else np.zeros((len(table), 1))
    step = steps.mean(axis=1)
    slack = _EVEN * (step if bits > MOST_THRESHOLD_BITS else np.abs(table).max(axis=1) * 2.0**-12)
    if (step <= 0).any() or (np.abs(steps - step[:, None]) > slack[:, None]).any():
        if bits > MOST_THRESHOLD_BITS or (steps < 0).any():
            raise RefusalError(
                f"thresholds that fall, or of unequal distances for codes of {bits} bits",
                "thresholds",
                f"rising ones, of equal distances beyond {MOST_THRESHOLD_BITS} bits",
            )
        given = {"grid": grid, "thresholds": table}
        return [replace(node, op="Quantise", inputs=node.inputs[:1], attributes=given)]
    # x reaches threshold i at (x - first) / step >= i - 1, which is rounded half up.
    gain, offset = scale / step, scale * (0.5 - table[:, 0] / step) + bias
    numbers = {
        "gain": gain,
        "offset": offset,
        "mean": np.zeros(len(table)),
        "variance": np.ones(len(table)),
    }
    names = [reading.store(f"{node.outputs[0]}#{end}", array) for end, array in numbers.items()]
    scaled = f"{node.outputs[0]}#scaled"
    inputs = (node.inputs[0], *names)
    return [
        Node(node.name, "BatchNormalization", inputs, (scaled,), {"epsilon": 0.0}),
        replace(node, op="Quantise", inputs=(scaled,), attributes={
            "grid": grid, "levels": table * gain[:, None] + offset[:, None],
        }),
    ]  # fmt: skip


def channels_last(reading: Reading, node: Node) -> list[Node]:
    """Read Conv, MaxPool and BatchNormalization on maps with channels last."""
    if node.op not in ("Conv", "MaxPool", "BatchNormalization"):
        raise RefusalError("has no form with channels last that is known")
    before, after = f"{node.outputs[0]}#first", f"{node.outputs[0]}#map"
    inputs = [before, *node.inputs[1:]]
    made = [Node(node.name, "Transpose", (node.inputs[0],), (before,), {"perm": _FIRST})]
    if node.op == "Conv":
        inputs[1] = f"{node.outputs[0]}#kernel"
        kernel = (node.inputs[1],), (inputs[1],)
        made.append(Node(node.name, "Transpose", *kernel, {"perm": _FIRST}))
    return [
        *made,
        replace(node, inputs=tuple(inputs), outputs=(after,)),
        Node(node.name, "Transpose", (after,), node.outputs, {"perm": _LAST}),
    ]
