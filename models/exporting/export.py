"""The one entry point: an integer network as the bytes of an ONNX file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping

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
"""Name of the file's output, (images, classes) in float32."""


def onnx_bytes(network: IntegerNetwork, kind: str) -> bytes:
    """Return the file of an integer network, in one of FORMATS; equal networks give equal bytes.

    Its input ``x`` (images, channels, rows, columns) holds real values of the input tensor, which
    become codes as ``round(x / scale) + zero_point``. Its output is accumulators times their scale.
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
    last = network.layers[-1]
    if network.order is None:
        sketch.node("Flatten", [last.output], OUTPUT, axis=1)
    else:
        flat = sketch.node("Flatten", [last.output], f"{last.output}/flat", axis=1)
        sketch.node("Gather", [flat, sketch.constant(network.order)], OUTPUT, axis=1)
    shape = network.tensors[network.input].shape
    return sketch.content(network.name, ("images", *shape), OUTPUT, _text(network, shape))


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
