"""Integer networks as QONNX: real numbers, and Quant nodes that say scales, zero points and bits.

The scale of a layer's weights is what makes its requantisation multiplier and shift: ``multiplier /
2**shift = input scale * weight scale / output scale``, of each channel.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import ModelError
from models.exporting.dialects import by_channel, check_padding, windows
from models.exporting.plain import cut
from models.exporting.sketch import Sketch
from models.integer.network import IntegerNetwork, Ints, MacLayer, TensorSpec

_MOST_BIAS = 1 << 21
"""Largest bias whose float32 value is that of one integer alone."""


class Qonnx:
    """Dialect of QONNX. Made by ``export.onnx_bytes``."""

    def __init__(self, network: IntegerNetwork, sketch: Sketch) -> None:
        self.network, self.sketch = network, sketch

    def input(self) -> None:
        spec = self.network.tensors[self.network.input]
        self._rounded("x", spec, spec.name)

    def layer(self, layer: MacLayer, output: str) -> None:
        spec, name = self.network.tensors[layer.output], layer.name
        channels = len(layer.bias)
        if layer.raw:
            unit = np.broadcast_to(np.asarray(spec.scale, np.float64), channels)
        else:
            unit = layer.requant_multiplier * 2.0**-layer.requant_shift * spec.step
        if not unit.all():
            raise ModelError(f"layer {name}: a channel's multiplier is 0, which no scale says")
        parts = [self._products(layer, i, unit) for i in range(len(layer.sources))]
        total = self.sketch.node("Add", parts, f"{name}/sum", name) if len(parts) == 2 else parts[0]
        if layer.bias.any() and len(parts) == 2:
            bias = self._bias(layer, unit).reshape(1, -1, 1, 1)
            total = self.sketch.node("Add", [total, self.sketch.constant(bias)], f"{name}/biased")
        if layer.raw:
            self.sketch.node("Identity", [total], output)
        elif layer.thresholds is not None:
            self._compared(total, layer.thresholds, unit, spec, output)
        else:
            self._rounded(total, spec, output)

    def pool(self, source: str, output: str, **attributes: Any) -> None:
        self.sketch.node("MaxPool", [source], output, **attributes)

    def concat(self, inputs: tuple[str, ...], output: str) -> None:
        specs = [self.network.tensors[name] for name in (*inputs, output)]
        if len({(spec.step, spec.zero_point) for spec in specs}) > 1:
            raise ModelError(
                f"layer {output}: joins codes of several scales or zero points, which real values "
                "do not say; export it as onnx"
            )
        self.sketch.node("Concat", inputs, output, axis=1)

    def _rounded(self, value: str, spec: TensorSpec, output: str) -> None:
        numbers = (np.float32(spec.step), np.float32(spec.zero_point), np.float32(spec.bits))
        ends = [self.sketch.constant(np.asarray(number)) for number in numbers]
        self.sketch.node("Quant", [value, *ends], output, signed=0, narrow=0, rounding_mode="ROUND")

    def _compared(
        self, value: str, thresholds: Ints, unit: Any, spec: TensorSpec, output: str
    ) -> None:
        """Write the number of thresholds that sums reach, each half a unit below its integer."""
        table = ((thresholds - 0.5) * unit[:, None]).astype(np.float32)
        step = float(np.float32(spec.step))
        self.sketch.node(
            "MultiThreshold", [value, self.sketch.constant(table)], output,
            out_scale=step, out_bias=-spec.zero_point * step, out_dtype=f"UINT{spec.bits}",
        )  # fmt: skip

    def _products(self, layer: MacLayer, position: int, unit: Any) -> str:
        """Write one source's convolution with weights on a grid, and the bias of an only source."""
        source, name = layer.sources[position], f"{layer.name}/{position}"
        if not by_channel(self.network, layer):
            check_padding(self.network, layer)
        given = windows(self.network, layer)
        scale = unit / self.network.tensors[source.tensor].step
        value = cut(self.sketch, source.tensor, name, given["pads"])
        weights = self._weights(source.weights, scale, f"{name}/weights")
        inputs = [value, weights]
        if layer.bias.any() and len(layer.sources) == 1:
            inputs.append(self.sketch.constant(self._bias(layer, unit)))
        called = layer.name if len(layer.sources) == 1 else ""
        return self.sketch.node("Conv", inputs, f"{name}/product", called, **given)

    def _weights(self, codes: Ints, scale: Any, name: str) -> str:
        low, high = min(int(codes.min()), 0), max(int(codes.max()), 0)
        bits = max((-low - 1).bit_length() if low else 0, high.bit_length(), 1) + 1
        along = scale.astype(np.float32).reshape(-1, 1, 1, 1)
        values = codes.astype(np.float32) * along
        ends = [values, along, np.float32(0), np.float32(bits)]
        return self.sketch.node(
            "Quant",
            [self.sketch.constant(np.asarray(number)) for number in ends],
            name,
            signed=1,
            narrow=0,
            rounding_mode="ROUND",
        )

    def _bias(self, layer: MacLayer, unit: Any) -> Any:
        if np.abs(layer.bias).max() > _MOST_BIAS:
            raise ModelError(
                f"layer {layer.name}: a bias of {np.abs(layer.bias).max()} units has no float32 "
                "value of its own; export it as onnx"
            )
        return (layer.bias * unit).astype(np.float32)
