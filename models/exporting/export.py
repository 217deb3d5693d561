"""The one entry point: an integer network as the bytes of an ONNX file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping

import numpy as np

from models.errors import ModelError
from models.exporting.dialects import Dialect, is_pool_alone, pooled
from models.exporting.plain import Plain
from models.exporting.qonnx import Qonnx
from models.exporting.sketch import Sketch
from models.integer.network import ConcatLayer, IntegerNetwork

FORMATS: Mapping[str, Callable[[IntegerNetwork, Sketch], Dialect]] = {
    "onnx": Plain, "qonnx": Qonnx,
}  # fmt: skip
"""Format of a file -> its dialect."""
OUTPUT = "y"
"""Name of an only output, (images, classes) in float32."""


def onnx_bytes(network: IntegerNetwork, kind: str) -> bytes:
    """Return the file of an integer network, in one of FORMATS; equal networks give equal bytes.

    Its input ``x`` (images, channels, rows, columns) holds real values of the input tensor, which
    become codes as ``round(x / scale) + zero_point``. Its output is accumulators times their scale;
    several have their names and shapes in the file that was imported.
    Raises ModelError for a network that the format cannot say.
    """
    try:
        importlib.import_module("onnx")
    except ImportError:
        raise ModelError("writing ONNX needs the package onnx: pip install 'codesign[import]'") \
            from None  # fmt: skip
    if network.blank:
        raise ModelError(f"the weights of network {network.name} are not known yet")
    sketch = Sketch()
    dialect = FORMATS[kind](network, sketch)
    dialect.input()
    for layer in network.layers:
        if isinstance(layer, ConcatLayer):
            dialect.concat(layer.inputs, layer.output)
        elif layer.lookup:
            raise ModelError(
                f"layer {layer.name}: looks codes up in a table (sigmoid, SiLU and the like), "
                "which neither format says; networks whose activations are ReLU, leaky ReLU, clips "
                "or hard sigmoid are written"
            )
        elif is_pool_alone(network, layer):
            source = layer.sources[0].tensor
            dialect.pool(source, layer.output, **pooled(network, layer, alone=True))
        else:
            result = f"{layer.output}/all" if layer.pool else layer.output
            dialect.layer(layer, result)
            if layer.pool:
                dialect.pool(result, layer.output, **pooled(network, layer, alone=False))
    outputs = _outputs(network, sketch)
    shape = network.tensors[network.input].shape
    return sketch.content(network.name, ("images", *shape), outputs, _text(network, shape))


def _outputs(network: IntegerNetwork, sketch: Sketch) -> list[str]:
    """Write the nodes that lay the last layer's values out, and return the outputs' names."""
    last = network.layers[-1].output
    if network.offset:
        starts = sketch.constant(np.array(network.offset, np.float32).reshape(1, -1, 1, 1))
        last = sketch.node("Add", [last, starts], f"{last}/real")
    if network.order is None and not network.parts:
        return [sketch.node("Flatten", [last], OUTPUT, axis=1)]
    flat = sketch.node("Flatten", [last], f"{last}/flat", axis=1)
    order = np.arange(network.classes) if network.order is None else network.order
    if not network.parts:
        return [sketch.node("Gather", [flat, sketch.constant(order)], OUTPUT, axis=1)]
    sketch.free([part.name for part in network.parts])
    flat, start = sketch.nodes[-1].output[0], 0
    for number, part in enumerate(network.parts):
        own = sketch.constant(order[start : start + part.size])
        start += part.size
        values = sketch.node("Gather", [flat, own], f"{OUTPUT}/{number}", axis=1)
        sides = part.shape[1:] if part.shape[:1] == (1,) else part.shape
        shape = sketch.constant(np.array([-1, *sides], np.int64))
        sketch.node("Reshape", [values, shape], part.name)
    return [part.name for part in network.parts]


def input_ends(network: IntegerNetwork) -> tuple[float, float]:
    """Return the values of the file's input ``x`` at the lowest and at the highest code."""
    spec = network.tensors[network.input]
    top = (1 << spec.bits) - 1
    return -spec.zero_point * spec.step, (top - spec.zero_point) * spec.step


def _text(network: IntegerNetwork, shape: tuple[int, int, int]) -> str:
    low, high = input_ends(network)
    channels, rows, columns = shape
    return (
        f"Integer network {network.name}: {math.prod(shape)} values of {channels} channels, "
        f"{rows} rows and {columns} columns, {low:g} for input level 0 and {high:g} for 255; "
        f"{network.classes} outputs."
    )
