"""Operators of TensorFlow Lite as nodes of the neutral graph.

TFLite's maps lie channels last; transposes around each operator say so, and cost nothing
(``layouts``). A quantised result is a ``Quantise`` node behind the operator, a fused activation a
``Clip`` before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.importing.readers.foreign import Constant, Grid, Node

_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Transposes from channels last to channels first, and back."""
_ACTIVATIONS = {1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""Fused activation -> the range that it clips to."""


def names() -> dict[int, str]:
    """Return the name of every built-in operator by its number in a file."""
    import tflite

    return {
        value: name for name, value in vars(tflite.BuiltinOperator).items() if type(value) is int
    }


class Tensors(Protocol):
    """The tensors of a file, by index. Made by the reader."""

    names: list[str]
    constants: dict[str, Constant]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""

    def constant(self, index: int) -> NDArray[Any]:
        """Return the values of a constant. Raises ModelError if the tensor is none."""


@dataclass(frozen=True, eq=False)
class Call:
    """An operator of a file with its tensors by name, and by index in the file (-1 for none).

    Made by ``tflite_file.read``.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    indices: tuple[int, ...]
    grids: tuple[Grid | None, ...]
    operator: Any
    reader: Tensors

    def options(self, kind: str) -> Any:
        """Return the operator's options as those of ``kind``, such as Conv2DOptions.

        Absent ones are an empty table, whose values are the schema's defaults.
        """
        import tflite

        options = getattr(tflite, kind)()
        table = self.operator.BuiltinOptions()
        if table is None:
            return None
        options.Init(table.Bytes, table.Pos)
        return options

    def out_shape(self) -> tuple[int, ...]:
        """Return the shape of the first output."""
        return self.reader.shape(self.reader.names.index(self.outputs[0]))

    def node(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Node:
        """Return the node that the table names for this operator."""
        return Node(self.name, op, inputs, (output,), attributes, self.kind)

    def helper(self, op: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Node:
        """Return a node that the table does not name."""
        return Node(self.name, op, inputs, (output,), attributes)

    def constant(self, end: str, values: Any) -> str:
        """Add a constant to the graph and return its name."""
        name = f"{self.name}#{end}"
        self.reader.constants[name] = Constant(np.asarray(values))
        return name


def nodes(call: Call) -> list[Node]:
    """Return the nodes of an operator; one that is not known gets a node of its own name.

    Raises ModelError.
    """
    if call.kind in _OPERATORS:
        return _OPERATORS[call.kind](call)
    return [Node(call.name, call.kind, call.inputs, call.outputs, {}, call.kind)]


def _result(call: Call, value: str, activation: int = 0) -> list[Node]:
    """Return the nodes from an operator's real result to its output."""
    found = []
    if activation in _ACTIVATIONS:
        low, high = _ACTIVATIONS[activation]
        found.append(call.helper("Clip", (value,), f"{call.name}#clipped", low=low, high=high))
        value = f"{call.name}#clipped"
    elif activation:
        found.append(call.node(f"activation {activation}", (value,), f"{call.name}#clipped"))
        value = f"{call.name}#clipped"
    (grid,) = call.grids
    if grid is not None:
        found.append(call.helper("Quantise", (value,), call.outputs[0], grid=grid))
    else:
        found.append(call.helper("Identity", (value,), call.outputs[0]))
    return found


def _window(call: Call, op: str, inputs: tuple[str, ...], options: Any, **more: Any) -> list[Node]:
    """Return the nodes of a convolution or pooling, channels first within."""
    before, after = f"{call.name}#first", f"{call.name}#map"
    padding = "SAME_UPPER" if options.Padding() == 0 else "VALID"
    stride = (options.StrideH(), options.StrideW())
    return [
        call.helper("Transpose", (inputs[0],), before, perm=_FIRST),
        call.node(op, (before, *inputs[1:]), after, strides=stride, auto_pad=padding, **more),
        call.helper("Transpose", (after,), f"{call.name}#last", perm=_LAST),
        *_result(call, f"{call.name}#last", options.FusedActivationFunction()),
    ]


def _conv(call: Call) -> list[Node]:
    options = call.options("Conv2DOptions")
    kernel = f"{call.name}#kernel"
    channels = call.reader.shape(call.indices[0])[3]
    per_group = call.reader.shape(call.indices[1])[3]
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    inputs = (call.inputs[0], kernel, *call.inputs[2:3])
    return [
        call.helper("Transpose", (call.inputs[1],), kernel, perm=_FIRST),
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
        *_result(call, f"{call.name}#shaped", activation),
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
        return [call.node(op, call.inputs, sums), *_result(call, sums, activation)]

    return made


def _clip(low: float, high: float) -> Callable[[Call], list[Node]]:
    def made(call: Call) -> list[Node]:
        clipped = f"{call.name}#clipped"
        node = call.node("Clip", call.inputs, clipped, low=low, high=high)
        return [node, *_result(call, clipped)]

    return made


def _mean(call: Call) -> list[Node]:
    axes = [int(axis) for axis in np.ravel(call.reader.constant(call.indices[1]))]
    options = call.options("ReducerOptions")
    keep = int(bool(options and options.KeepDims()))
    mean = f"{call.name}#mean"
    node = call.node("ReduceMean", call.inputs[:1], mean, axes=axes, keepdims=keep)
    return [node, *_result(call, mean)]


def _concat(call: Call) -> list[Node]:
    options = call.options("ConcatenationOptions")
    joined = f"{call.name}#joined"
    node = call.node("Concat", call.inputs, joined, axis=options.Axis())
    return [node, *_result(call, joined, options.FusedActivationFunction())]


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
        return [call.node(op, call.inputs, value, **attributes), *_result(call, value)]

    return made


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
    "RELU": _clip(0.0, math.inf),
    "RELU6": _clip(0.0, 6.0),
    "RELU_N1_TO_1": _clip(-1.0, 1.0),
    "RELU_0_TO_1": _clip(0.0, 1.0),
    "MEAN": _mean,
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
    "ARG_MAX": _arg_max,
}
