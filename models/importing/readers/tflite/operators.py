"""Operators of TensorFlow Lite as nodes of the neutral graph.

TFLite's maps lie channels last; transposes around each operator say so, and cost nothing
(``layouts``). A quantised result is a ``Quantise`` node behind the operator, a fused activation a
``Clip`` before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from models.importing.readers.foreign import Node
from models.importing.readers.table import RefusalError
from models.importing.readers.tflite import maps
from models.importing.readers.tflite.calls import FIRST, LAST, Call, result


def names() -> dict[int, str]:
    """Return the name of every built-in operator by its number in a file."""
    import tflite

    return {
        value: name for name, value in vars(tflite.BuiltinOperator).items() if type(value) is int
    }


def nodes(call: Call) -> list[Node]:
    """Return the nodes of an operator; one that is not known gets a node of its own name.

    Raises ModelError; what refuses the operator alone stands in its node.
    """
    refused: dict[str, Any] = {}
    try:
        if call.kind in _OPERATORS:
            return _OPERATORS[call.kind](call)
    except RefusalError as error:
        refused = {"error": error}
    return [Node(call.name, call.kind, call.inputs, call.outputs, refused, call.kind)]


def _window(call: Call, op: str, inputs: tuple[str, ...], options: Any, **more: Any) -> list[Node]:
    """Return the nodes of a convolution or pooling, channels first within."""
    before, after = f"{call.name}#first", f"{call.name}#map"
    padding = "SAME_UPPER" if options.Padding() == 0 else "VALID"
    stride = (options.StrideH(), options.StrideW())
    return [
        call.helper("Transpose", (inputs[0],), before, perm=FIRST),
        call.node(op, (before, *inputs[1:]), after, strides=stride, auto_pad=padding, **more),
        call.helper("Transpose", (after,), f"{call.name}#last", perm=LAST),
        *result(call, f"{call.name}#last", options.FusedActivationFunction()),
    ]


def _conv(call: Call) -> list[Node]:
    options = call.options("Conv2DOptions")
    kernel = f"{call.name}#kernel"
    channels = call.reader.shape(call.indices[0])[3]
    per_group = call.reader.shape(call.indices[1])[3]
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    inputs = (call.inputs[0], kernel, *call.inputs[2:3])
    return [
        call.helper("Transpose", (call.inputs[1],), kernel, perm=FIRST),
        *_window(
            call, "Conv", inputs, options, dilations=dilation, group=max(channels // per_group, 1)
        ),
    ]


def _depthwise(call: Call) -> list[Node]:
    options = call.options("DepthwiseConv2DOptions")
    kernel = f"{call.name}#kernel"
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    inputs = (call.inputs[0], kernel, *call.inputs[2:3])
    return [
        call.helper("Transpose", (call.inputs[1],), kernel, perm=(3, 0, 1, 2)),
        *_window(
            call,
            "Conv",
            inputs,
            options,
            dilations=dilation,
            group=call.reader.shape(call.indices[0])[3],
        ),
    ]


def _linear(call: Call) -> list[Node]:
    options = call.options("FullyConnectedOptions")
    if options and options.WeightsFormat():
        raise RefusalError("its weights are shuffled", "weights_format", "DEFAULT")
    features = call.reader.shape(call.indices[1])[-1]
    flat, sums = f"{call.name}#flat", f"{call.name}#sums"
    shape = call.constant("shape", np.array([-1, features]))
    out = call.constant("out", np.array(call.out_shape()))
    inputs = (flat, call.inputs[1], *(name for name in call.inputs[2:3] if name))
    activation = options.FusedActivationFunction() if options else 0
    return [
        call.helper("Reshape", (call.inputs[0], shape), flat),
        call.node("Gemm", inputs, sums, transB=1),
        call.helper("Reshape", (sums, out), f"{call.name}#shaped"),
        *result(call, f"{call.name}#shaped", activation),
    ]


def _pool(op: str, **more: Any) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        options = call.options("Pool2DOptions")
        kernel = (options.FilterHeight(), options.FilterWidth())
        return _window(call, op, call.inputs, options, kernel_shape=kernel, **more)

    return made


def _binary(op: str) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        options = call.options(f"{op}Options")
        activation = options.FusedActivationFunction() if options else 0
        sums = f"{call.name}#sum"
        return [call.node(op, call.inputs, sums), *result(call, sums, activation)]

    return made


def _clip(low: float, high: float) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        clipped = f"{call.name}#clipped"
        node = call.node("Clip", call.inputs, clipped, low=low, high=high)
        return [node, *result(call, clipped)]

    return made


def _reduction(op: str) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        axes = [int(axis) for axis in np.ravel(call.reader.constant(call.indices[1]))]
        options = call.options("ReducerOptions")
        keep = int(bool(options and options.KeepDims()))
        value = f"{call.name}#reduced"
        node = call.node(op, call.inputs[:1], value, axes=axes, keepdims=keep)
        return [node, *result(call, value)]

    return made


def _concat(call: Call) -> list[Node]:
    options = call.options("ConcatenationOptions")
    joined = f"{call.name}#joined"
    node = call.node("Concat", call.inputs, joined, axis=options.Axis())
    return [node, *result(call, joined, options.FusedActivationFunction())]


def _shape(call: Call) -> list[Node]:
    """Reshape, squeeze and expansion alike: the output's shape says all."""
    out = call.out_shape()
    shape = call.constant("shape", np.array(out, np.int64))
    return [call.node("Reshape", (call.inputs[0], shape), call.outputs[0])]


def _pad(call: Call) -> list[Node]:
    sides = call.reader.constant(call.indices[1]).reshape(-1, 2)
    pads = [int(n) for n in (*sides[:, 0], *sides[:, 1])]
    return [call.node("Pad", call.inputs[:1], call.outputs[0], pads=pads)]


def _transpose(call: Call) -> list[Node]:
    perm = [int(n) for n in np.ravel(call.reader.constant(call.indices[1]))]
    return [call.node("Transpose", call.inputs[:1], call.outputs[0], perm=perm)]


def _quantise(call: Call) -> list[Node]:
    (grid,) = call.grids
    return [call.node("Quantise", call.inputs, call.outputs[0], grid=grid)]


def _plain(op: str, **attributes: Any) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        value = f"{call.name}#real"
        return [call.node(op, call.inputs, value, **attributes), *result(call, value)]

    return made


def _leaky(call: Call) -> list[Node]:
    slope = f"{call.name}#leaky"
    options = call.options("LeakyReluOptions")
    alpha = float(options.Alpha()) if options else 0.0
    return [call.node("LeakyRelu", call.inputs, slope, alpha=alpha), *result(call, slope)]


def _prelu(call: Call) -> list[Node]:
    """PReLU: TFLite's slopes lie channels last, as its maps do."""
    first, slopes, value = (f"{call.name}#{part}" for part in ("first", "slopes", "prelu"))
    shape = call.reader.shape(call.indices[1])
    whole = call.constant("whole", np.array([*[1] * (4 - len(shape)), *shape], np.int64))
    return [
        call.helper("Transpose", (call.inputs[0],), first, perm=FIRST),
        call.helper("Reshape", (call.inputs[1], whole), f"{slopes}1"),
        call.helper("Transpose", (f"{slopes}1",), slopes, perm=FIRST),
        call.node("PRelu", (first, slopes), f"{value}1"),
        call.helper("Transpose", (f"{value}1",), value, perm=LAST),
        *result(call, value),
    ]


def _gelu(call: Call) -> list[Node]:
    options = call.options("GeluOptions")
    way = "tanh" if options and options.Approximate() else "none"
    return _plain("Gelu", approximate=way)(call)


def _arg_max(call: Call) -> list[Node]:
    return [call.node("ArgMax", call.inputs[:1], call.outputs[0])]


_OPERATORS: dict[str, Callable[[Call], list[Node]]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _linear,
    "AVERAGE_POOL_2D": _pool("AveragePool", count_include_pad=0),
    "MAX_POOL_2D": _pool("MaxPool"),
    "ADD": _binary("Add"),
    "SUB": _binary("Sub"),
    "MUL": _binary("Mul"),
    "LEAKY_RELU": _leaky,
    "PRELU": _prelu,
    "RELU": _clip(0.0, math.inf),
    "RELU6": _clip(0.0, 6.0),
    "RELU_N1_TO_1": _clip(-1.0, 1.0),
    "RELU_0_TO_1": _clip(0.0, 1.0),
    "MEAN": _reduction("ReduceMean"),
    "SUM": _reduction("ReduceSum"),
    "REDUCE_MAX": _reduction("ReduceMax"),
    "TRANSPOSE_CONV": maps.transposed,
    "RESIZE_NEAREST_NEIGHBOR": maps.nearest,
    "RESIZE_BILINEAR": maps.bilinear,
    "DEPTH_TO_SPACE": maps.blocks("DepthToSpace"),
    "SPACE_TO_DEPTH": maps.blocks("SpaceToDepth"),
    "L2_NORMALIZATION": _plain("LpNormalization"),
    "CONCATENATION": _concat,
    "RESHAPE": _shape,
    "SQUEEZE": _shape,
    "EXPAND_DIMS": _shape,
    "PAD": _pad,
    "TRANSPOSE": _transpose,
    "QUANTIZE": _quantise,
    "DEQUANTIZE": _plain("Identity"),
    "SOFTMAX": _plain("Softmax"),
    "LOG_SOFTMAX": _plain("LogSoftmax"),
    "LOGISTIC": _plain("Sigmoid"),
    "TANH": _plain("Tanh"),
    "HARD_SWISH": _plain("HardSwish"),
    "ELU": _plain("Elu"),
    "GELU": _gelu,
    "ARG_MAX": _arg_max,
}
