"""A small TFLite file, made by the accessors of the schema: two int8 layers, pixels to codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import tflite as t

VERSIONS = {
    t.BuiltinOperator.DEPTH_TO_SPACE: 1,
    t.BuiltinOperator.LEAKY_RELU: 2,
    t.BuiltinOperator.HARD_SWISH: 1,
}
"""Versions of operators that have no third one."""


class Builder:
    """A model of one subgraph, tensor by tensor and operator by operator."""

    def __init__(self) -> None:
        self.b = flatbuffers.Builder(4096)
        self.buffers: list[bytes] = [b""]
        self.tensors: list[int] = []
        self.operators: list[int] = []
        self.codes: list[int] = []

    def _vector(self, start: Any, items: Sequence[int], add: Any) -> int:
        start(self.b, len(items))
        for item in reversed(items):
            add(item)
        return self.b.EndVector()

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        kind: int,
        scales: Sequence[float] = (),
        zeros: Sequence[int] = (),
        data: Any = None,
        axis: int = 0,
    ) -> int:
        b = self.b
        text = b.CreateString(name)
        sides = self._vector(t.TensorStartShapeVector, shape, b.PrependInt32)
        rounding = 0
        if len(scales):
            scale = self._vector(t.QuantizationParametersStartScaleVector, scales, b.PrependFloat32)
            zero = self._vector(t.QuantizationParametersStartZeroPointVector, zeros, b.PrependInt64)
            t.QuantizationParametersStart(b)
            t.QuantizationParametersAddScale(b, scale)
            t.QuantizationParametersAddZeroPoint(b, zero)
            t.QuantizationParametersAddQuantizedDimension(b, axis)
            rounding = t.QuantizationParametersEnd(b)
        buffer = 0
        if data is not None:
            self.buffers.append(np.ascontiguousarray(data).tobytes())
            buffer = len(self.buffers) - 1
        t.TensorStart(b)
        t.TensorAddName(b, text)
        t.TensorAddShape(b, sides)
        t.TensorAddType(b, kind)
        t.TensorAddBuffer(b, buffer)
        if rounding:
            t.TensorAddQuantization(b, rounding)
        self.tensors.append(t.TensorEnd(b))
        return len(self.tensors) - 1

    def operator(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        kind: int = 0,
        table: int = 0,
    ) -> None:
        b = self.b
        if code not in self.codes:
            self.codes.append(code)
        ins = self._vector(t.OperatorStartInputsVector, inputs, b.PrependInt32)
        outs = self._vector(t.OperatorStartOutputsVector, outputs, b.PrependInt32)
        t.OperatorStart(b)
        t.OperatorAddOpcodeIndex(b, self.codes.index(code))
        t.OperatorAddInputs(b, ins)
        t.OperatorAddOutputs(b, outs)
        if table:
            t.OperatorAddBuiltinOptionsType(b, kind)
            t.OperatorAddBuiltinOptions(b, table)
        self.operators.append(t.OperatorEnd(b))

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        b = self.b
        tensors = self._vector(
            t.SubGraphStartTensorsVector, self.tensors, b.PrependUOffsetTRelative
        )
        ins = self._vector(t.SubGraphStartInputsVector, inputs, b.PrependInt32)
        outs = self._vector(t.SubGraphStartOutputsVector, outputs, b.PrependInt32)
        ops = self._vector(
            t.SubGraphStartOperatorsVector, self.operators, b.PrependUOffsetTRelative
        )
        t.SubGraphStart(b)
        t.SubGraphAddTensors(b, tensors)
        t.SubGraphAddInputs(b, ins)
        t.SubGraphAddOutputs(b, outs)
        t.SubGraphAddOperators(b, ops)
        graph = self._vector(
            t.ModelStartSubgraphsVector, [t.SubGraphEnd(b)], b.PrependUOffsetTRelative
        )
        codes = []
        for code in self.codes:
            t.OperatorCodeStart(b)
            t.OperatorCodeAddDeprecatedBuiltinCode(b, code)
            t.OperatorCodeAddBuiltinCode(b, code)
            t.OperatorCodeAddVersion(b, VERSIONS.get(code, 3))
            codes.append(t.OperatorCodeEnd(b))
        made = []
        for data in self.buffers:
            vector = b.CreateByteVector(data) if data else 0
            t.BufferStart(b)
            if data:
                t.BufferAddData(b, vector)
            made.append(t.BufferEnd(b))
        buffers = self._vector(t.ModelStartBuffersVector, made, b.PrependUOffsetTRelative)
        kinds = self._vector(t.ModelStartOperatorCodesVector, codes, b.PrependUOffsetTRelative)
        t.ModelStart(b)
        t.ModelAddVersion(b, 3)
        t.ModelAddOperatorCodes(b, kinds)
        t.ModelAddSubgraphs(b, graph)
        t.ModelAddBuffers(b, buffers)
        b.Finish(t.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


def numbers(seed: int = 0) -> dict[str, Any]:
    """Weights (out, rows, cols, in), scales and biases of a convolution and a linear layer."""
    rng = np.random.default_rng(seed)
    ws = rng.uniform(0.005, 0.02, 6).astype(np.float32)
    return {
        "w": rng.integers(-127, 128, (6, 3, 3, 3)).astype(np.int8),
        "ws": ws,
        "b": rng.integers(-3000, 3000, 6).astype(np.int32),
        "bs": ws * np.float32(0.02),
        "v": rng.integers(-127, 128, (5, 4 * 4 * 6)).astype(np.int8),
        "vs": np.float32(0.01),
        "c": rng.integers(-3000, 3000, 5).astype(np.int32),
    }


def small(n: dict[str, Any], weight_zero: int = 0, *, both: bool = False,
          weights_format: int = 0) -> bytes:  # fmt: skip
    """Convolution of stride 2 with ReLU, then a linear layer over the map as TFLite lays it.

    both: the map is an output, too.
    """
    m = Builder()
    i8, i32 = t.TensorType.INT8, t.TensorType.INT32
    x = m.tensor("x", [1, 8, 8, 3], i8, [0.02], [-3])
    w = m.tensor("w", n["w"].shape, i8, n["ws"], [weight_zero] * 6, n["w"])
    b = m.tensor("b", [6], i32, n["bs"], [0] * 6, n["b"])
    a = m.tensor("a", [1, 4, 4, 6], i8, [0.09], [-128])
    v = m.tensor("v", n["v"].shape, i8, [n["vs"]], [0], n["v"])
    c = m.tensor("c", [5], i32, [n["vs"] * np.float32(0.09)], [0], n["c"])
    y = m.tensor("y", [1, 5], i8, [0.5], [11])
    t.Conv2DOptionsStart(m.b)
    t.Conv2DOptionsAddStrideH(m.b, 2)
    t.Conv2DOptionsAddStrideW(m.b, 2)
    t.Conv2DOptionsAddFusedActivationFunction(m.b, 1)
    options = t.Conv2DOptionsEnd(m.b)
    kind = t.BuiltinOptions.Conv2DOptions
    m.operator(t.BuiltinOperator.CONV_2D, [x, w, b], [a], kind, options)
    t.FullyConnectedOptionsStart(m.b)
    t.FullyConnectedOptionsAddWeightsFormat(m.b, weights_format)
    options = t.FullyConnectedOptionsEnd(m.b)
    kind = t.BuiltinOptions.FullyConnectedOptions
    m.operator(t.BuiltinOperator.FULLY_CONNECTED, [a, v, c], [y], kind, options)
    return m.finish([x], [y, a] if both else [y])


def summed(activation: int = 0) -> bytes:
    """The sum of two inputs of other scales and zero points than each other's and the result's."""
    m = Builder()
    i8 = t.TensorType.INT8
    a = m.tensor("first", [1, 6, 6, 4], i8, [0.031], [-17])
    b = m.tensor("second", [1, 6, 6, 4], i8, [0.0127], [40])
    y = m.tensor("y", [1, 6, 6, 4], i8, [0.035], [-9])
    t.AddOptionsStart(m.b)
    t.AddOptionsAddFusedActivationFunction(m.b, activation)
    options = t.AddOptionsEnd(m.b)
    m.operator(t.BuiltinOperator.ADD, [a, b], [y], t.BuiltinOptions.AddOptions, options)
    return m.finish([a, b], [y])


CURVES: dict[str, tuple[list[float], list[int]]] = {
    "LOGISTIC": ([1 / 256], [-128]),
    "TANH": ([1 / 128], [0]),
    "HARD_SWISH": ([0.0203], [-100]),
}
"""Activation -> scale and zero point of its result, as TFLite asks."""


BILINEAR: dict[str, tuple[list[int], bool, bool]] = {
    "bilinear, half pixels": ([10, 8], False, True),
    "bilinear, half pixels by 4 and 3": ([20, 12], False, True),
    "bilinear by 8": ([40, 32], False, True),
    "bilinear, asymmetric": ([10, 16], False, False),
    "bilinear, corners aligned": ([9, 7], True, False),
    "bilinear, columns alone": ([5, 8], False, True),
}
"""Bilinear resizing of 5 rows and 4 columns -> places, align_corners, half_pixel_centers."""


def single(kind: str) -> bytes:
    """One operator: transposed, nearest, of BILINEAR, blocks: a larger map; leaky; of CURVES."""
    m = Builder()
    i8, i32, b = t.TensorType.INT8, t.TensorType.INT32, m.b
    x = m.tensor("x", [1, 5, 4, 8], i8, [0.031], [-17])
    if kind == "transposed":
        rng, ws = np.random.default_rng(3), np.linspace(0.004, 0.02, 6).astype(np.float32)
        w = m.tensor(
            "w", [6, 3, 3, 8], i8, ws, [0] * 6, rng.integers(-127, 128, (6, 3, 3, 8), "i1")
        )
        bias = rng.integers(-3000, 3000, 6).astype(np.int32)
        c = m.tensor("c", [6], i32, ws * np.float32(0.031), [0] * 6, bias)
        s = m.tensor("s", [4], i32, data=np.array([1, 10, 8, 6], np.int32))
        y = m.tensor("y", [1, 10, 8, 6], i8, [0.09], [5])
        t.TransposeConvOptionsStart(b)
        t.TransposeConvOptionsAddStrideH(b, 2)
        t.TransposeConvOptionsAddStrideW(b, 2)
        options, name = t.TransposeConvOptionsEnd(b), "TransposeConvOptions"
        code, inputs = t.BuiltinOperator.TRANSPOSE_CONV, [s, w, x, c]
    elif kind == "nearest":
        s = m.tensor("s", [2], i32, data=np.array([15, 8], np.int32))
        y = m.tensor("y", [1, 15, 8, 8], i8, [0.031], [-17])
        t.ResizeNearestNeighborOptionsStart(b)
        t.ResizeNearestNeighborOptionsAddHalfPixelCenters(b, True)
        options, name = t.ResizeNearestNeighborOptionsEnd(b), "ResizeNearestNeighborOptions"
        code, inputs = t.BuiltinOperator.RESIZE_NEAREST_NEIGHBOR, [x, s]
    elif kind in BILINEAR:
        sides, corners, centres = BILINEAR[kind]
        s = m.tensor("s", [2], i32, data=np.array(sides, np.int32))
        y = m.tensor("y", [1, *sides, 8], i8, [0.031], [-17])
        t.ResizeBilinearOptionsStart(b)
        t.ResizeBilinearOptionsAddAlignCorners(b, corners)
        t.ResizeBilinearOptionsAddHalfPixelCenters(b, centres)
        options, name = t.ResizeBilinearOptionsEnd(b), "ResizeBilinearOptions"
        code, inputs = t.BuiltinOperator.RESIZE_BILINEAR, [x, s]
    elif kind == "leaky":
        y = m.tensor("y", [1, 5, 4, 8], i8, [0.0203], [-60])
        t.LeakyReluOptionsStart(b)
        t.LeakyReluOptionsAddAlpha(b, 0.15)
        options, name = t.LeakyReluOptionsEnd(b), "LeakyReluOptions"
        code, inputs = t.BuiltinOperator.LEAKY_RELU, [x]
    elif kind in CURVES:
        y = m.tensor("y", [1, 5, 4, 8], i8, *CURVES[kind])
        code, name, inputs, options = getattr(t.BuiltinOperator, kind), "NONE", [x], 0
    else:
        y = m.tensor("y", [1, 10, 8, 2], i8, [0.031], [-17])
        t.DepthToSpaceOptionsStart(b)
        t.DepthToSpaceOptionsAddBlockSize(b, 2)
        options, name = t.DepthToSpaceOptionsEnd(b), "DepthToSpaceOptions"
        code, inputs = t.BuiltinOperator.DEPTH_TO_SPACE, [x]
    m.operator(code, inputs, [y], getattr(t.BuiltinOptions, name), options)
    return m.finish([x], [y])


def slopes_of(sides: Sequence[int]) -> Any:
    """Slopes of a parametric ReLU, all different."""
    return np.linspace(-0.5, 1.5, int(np.prod(sides)), dtype=np.float32).reshape(sides)


def slopes(sides: Sequence[int]) -> bytes:
    """A parametric ReLU of a map of 3 rows, 3 columns and 3 channels of real numbers."""
    m = Builder()
    real = t.TensorType.FLOAT32
    x, y = (m.tensor(name, [1, 3, 3, 3], real) for name in "xy")
    alpha = m.tensor("alpha", sides, real, data=slopes_of(sides))
    m.operator(t.BuiltinOperator.PRELU, [x, alpha], [y])
    return m.finish([x], [y])
