"""Integer networks in ONNX's own operators, which compute bit for bit what the reference does.

Codes are uint8 tensors. Products are summed by ConvInteger, weights as uint8 with zero point 128:
on many processors ONNX Runtime's sums of uint8 with int8 saturate. What follows is exact in double:
accumulators of 32 bits times multipliers of 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import ModelError
from models.exporting.dialects import by_channel, check_padding, windows
from models.exporting.sketch import Sketch
from models.integer.network import IntegerNetwork, Ints, MacLayer, Source, TensorSpec

_DOUBLE, _FLOAT, _UINT8 = 11, 1, 2
"""Types of ONNX that Cast names."""


class Plain:
    """Dialect of ONNX's integer operators. Made by ``export.onnx_bytes``."""

    def __init__(self, network: IntegerNetwork, sketch: Sketch) -> None:
        self.network, self.sketch = network, sketch

    def input(self) -> None:
        spec = self.network.tensors[self.network.input]
        real = self.sketch.node("Cast", ["x"], "x/double", to=_DOUBLE)
        step = self.sketch.constant(np.float64(spec.step))
        scaled = self.sketch.node("Div", [real, step], "x/scaled")
        self._codes(scaled, spec, spec.name)

    def layer(self, layer: MacLayer, output: str) -> None:
        name, node = layer.name, self.sketch.node
        if by_channel(self.network, layer):
            parts = [self._multiplied(layer, source, i) for i, source in enumerate(layer.sources)]
            total = node("Add", parts, f"{name}/sum", name) if len(parts) == 2 else parts[0]
        else:
            total = self._convolved(layer)
        real = node("Cast", [total], f"{name}/double", to=_DOUBLE)
        if layer.bias.any():
            real = node("Add", [real, self._channels(layer.bias)], f"{name}/biased")
        spec = self.network.tensors[layer.output]
        if layer.raw:
            scale = np.broadcast_to(np.asarray(spec.scale, np.float64), spec.shape[0])
            values = node("Mul", [real, self._channels(scale)], f"{name}/scaled")
            node("Cast", [values], output, to=_FLOAT)
            return
        if layer.thresholds is not None:
            self._compared(real, layer.thresholds, output)
            return
        factor = layer.requant_multiplier * 2.0**-layer.requant_shift
        scaled = node("Mul", [real, self._channels(factor)], f"{name}/scaled")
        self._codes(scaled, spec, output)

    def pool(self, source: str, output: str, **attributes: Any) -> None:
        self.sketch.node("MaxPool", [source], output, **attributes)

    def concat(self, inputs: tuple[str, ...], output: str) -> None:
        self.sketch.node("Concat", inputs, output, axis=1)

    def _channels(self, values: Any) -> str:
        return self.sketch.constant(np.asarray(values, np.float64).reshape(1, -1, 1, 1))

    def _codes(self, scaled: str, spec: TensorSpec, output: str) -> None:
        """Write ``clip(floor(scaled + 1/2) + zero_point)`` as codes."""
        node, number = self.sketch.node, self.sketch.constant
        half = node("Add", [scaled, number(np.float64(0.5))], f"{output}/half")
        whole = node("Floor", [half], f"{output}/floor")
        zero = number(np.float64(spec.zero_point))
        moved = node("Add", [whole, zero], f"{output}/moved")
        ends = [number(np.float64(0)), number(np.float64((1 << spec.bits) - 1))]
        node("Cast", [node("Clip", [moved, *ends], f"{output}/clip")], output, to=_UINT8)

    def _compared(self, real: str, thresholds: Ints, output: str) -> None:
        """Write the number of thresholds (channels, codes - 1) that accumulators reach as codes."""
        node, total = self.sketch.node, ""
        for code, column in enumerate(thresholds.T, start=1):
            name = f"{output}/{code}"
            reached = node("GreaterOrEqual", [real, self._channels(column)], f"{name}/reached")
            one = node("Cast", [reached], f"{name}/one", to=_FLOAT)
            total = node("Add", [total, one], f"{name}/codes") if total else one
        node("Cast", [total], output, to=_UINT8)

    def _multiplied(self, layer: MacLayer, source: Source, position: int) -> str:
        """Write codes, less their zero point, times weights of the channels: exact in float."""
        name, number = f"{layer.name}/{position}", self.sketch.constant
        zero = number(np.uint8(self.network.tensors[source.tensor].zero_point))
        codes = cut(self.sketch, source.tensor, name, windows(self.network, layer)["pads"])
        ends = [codes, number(np.float32(1)), zero]
        value = self.sketch.node("DequantizeLinear", ends, f"{name}/code")
        if (source.weights == 1).all() and len(layer.sources) == 1:
            return value
        weights = number(source.weights.astype(np.float32).reshape(1, -1, 1, 1))
        return self.sketch.node("Mul", [value, weights], f"{name}/product")

    def _convolved(self, layer: MacLayer) -> str:
        (source,) = layer.sources
        check_padding(self.network, layer)
        if np.abs(source.weights).max(initial=0) > 128 or source.weights.max(initial=0) > 127:
            raise ModelError(f"layer {layer.name}: weights of {layer.weight_bits} bits")
        given = windows(self.network, layer)
        codes = cut(self.sketch, source.tensor, layer.name, given["pads"])
        zero = np.uint8(self.network.tensors[source.tensor].zero_point)
        weights = (source.weights + 128).astype(np.uint8)
        constants = [self.sketch.constant(array) for array in (weights, zero, np.uint8(128))]
        return self.sketch.node(
            "ConvInteger", [codes, *constants], f"{layer.name}/sum", layer.name, **given
        )


def cut(sketch: Sketch, tensor: str, name: str, pads: list[int]) -> str:
    """Cut rows and columns that no window reads (pads below 0, then 0); return what is left."""
    sides = [(axis, pads[axis]) for axis in (2, 3) if pads[axis] < 0]
    if not sides:
        return tensor
    axes, ends = zip(*sides, strict=True)
    pads[2:] = [max(pad, 0) for pad in pads[2:]]
    numbers = [np.zeros(len(axes)), ends, axes]
    names = [sketch.constant(np.array(n, np.int64)) for n in numbers]
    return sketch.node("Slice", [tensor, *names], f"{name}/cut")
