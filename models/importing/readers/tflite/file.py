"""Reader of TensorFlow Lite files (flatbuffers of schema 3): tensors, constants, quantisation."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.files.reading import FileError, printable, quoted
from models.importing.readers.foreign import (
    DAMAGE,
    MOST_NODES,
    Constant,
    ForeignGraph,
    Grid,
    Memory,
    Node,
    check_shape,
)
from models.importing.readers.tflite import calls, operators

IDENTIFIER = b"TFL3"
"""Bytes 4..7 of every file."""
_TYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 6: "?", 7: "<i2", 9: "i1"}
"""Type of a tensor in the file -> numpy's."""
_GRIDS = {3: (8, False), 7: (16, True), 9: (8, True)}
"""Type of a quantised activation -> its bits and whether it is signed."""


def read(data: bytes, name: str, where: str) -> ForeignGraph:
    """Return the graph of a file's bytes. Raises ModelError, FileError.

    name: for the network; where: for messages.
    """
    import tflite

    try:
        model = tflite.Model.GetRootAsModel(data, 0)
        if model.Version() != 3:
            raise FileError(f"{where}: is of TFLite schema {model.Version()}, not 3")
        if model.SubgraphsLength() != 1:
            raise FileError(f"{where}: has {model.SubgraphsLength()} subgraphs, not one")
        return _Reader(model, model.Subgraphs(0), name).graph()
    except (ModelError, FileError):
        raise
    except DAMAGE as error:
        raise FileError(f"{where}: is a damaged TFLite file ({printable(error)})") from None


class _Reader:
    def __init__(self, model: Any, subgraph: Any, name: str) -> None:
        self.model, self.subgraph, self.name = model, subgraph, name
        if max(subgraph.TensorsLength(), subgraph.OperatorsLength()) > MOST_NODES:
            raise ModelError(f"the file has more than {MOST_NODES} tensors or operators")
        self.tensors = [subgraph.Tensors(i) for i in range(subgraph.TensorsLength())]
        self.names = _names(self.tensors)
        self.constants: dict[str, Constant] = {}
        self.memory = Memory()
        self.codes = operators.names()

    def graph(self) -> ForeignGraph:
        for index in range(len(self.tensors)):
            self._read_constant(index)
        inputs, nodes = {}, []
        for index in map(int, _numbers(self.subgraph.InputsAsNumpy())):
            name = self._name(index)
            inputs[name] = self.shape(index)
            if self._is_quantised(index):
                # What the operators read is the real value; the host brings the codes.
                self.names[index] = f"{name}#real"
                grid = {"grid": self.grid(index)}
                nodes.append(Node(name, "Dequantise", (name,), (self.names[index],), grid))
        for position in range(self.subgraph.OperatorsLength()):
            nodes += self._operator(position, self.subgraph.Operators(position))
        outputs = [self._name(int(i)) for i in _numbers(self.subgraph.OutputsAsNumpy())]
        return ForeignGraph(
            self.name, "tflite", inputs, tuple(outputs), nodes, self.constants, self.memory
        )

    # Tensors ---------------------------------------------------------------------------------

    def _name(self, index: int) -> str:
        if not 0 <= index < len(self.names):
            raise ModelError(f"tensor {index} is read, of {len(self.names)} tensors")
        return self.names[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of a tensor, () for a scalar."""
        tensor = self.tensors[index]
        if not tensor.ShapeLength():
            return ()
        return check_shape(tensor.ShapeAsNumpy().tolist(), self.names[index])

    def constant(self, index: int) -> NDArray[Any]:
        """Return the values of a constant. Raises ModelError if the tensor is none."""
        found = self.constants.get(self._name(index))
        if found is None:
            raise ModelError(f"tensor {quoted(self._name(index))} must be a constant")
        return found.values

    def _is_quantised(self, index: int) -> bool:
        return self.tensors[index].Type() in _GRIDS and self._scales(index) is not None

    def _scales(self, index: int) -> tuple[NDArray[Any], NDArray[Any], int] | None:
        """Return scales, zero points and the axis that they lie along."""
        found = self.tensors[index].Quantization()
        if found is None or not found.ScaleLength():
            return None
        scales = found.ScaleAsNumpy().astype(np.float64)
        zeros = np.zeros(len(scales), np.int64)
        if found.ZeroPointLength():
            zeros = found.ZeroPointAsNumpy().astype(np.int64)
        if len(zeros) != len(scales):
            raise ModelError(f"tensor {quoted(self.names[index])}: scales and zero points differ")
        return scales, zeros, found.QuantizedDimension()

    def grid(self, index: int) -> Grid | None:
        """Return the grid of a quantised activation; None for one of real values."""
        if not self._is_quantised(index):
            return None
        found = self._scales(index)
        assert found is not None
        scales, zeros, _ = found
        bits, signed = _GRIDS[self.tensors[index].Type()]
        zero = int(zeros[0]) + (1 << (bits - 1) if signed else 0)
        if len(scales) != 1 or not 0 <= zero < 1 << bits:
            raise ModelError(
                f"tensor {quoted(self.names[index])}: {len(scales)} scales, zero point {zeros[0]}; "
                "an activation has one scale and a zero point within its codes"
            )
        return Grid(float(scales[0]), zero, bits, signed)

    def _read_constant(self, index: int) -> None:
        tensor = self.tensors[index]
        if not 0 <= tensor.Buffer() < self.model.BuffersLength():
            raise ModelError(f"tensor {quoted(self.names[index])}: buffer {tensor.Buffer()}")
        buffer = self.model.Buffers(tensor.Buffer())
        if not buffer.DataLength():
            return
        shape, kind = self.shape(index), _TYPES.get(tensor.Type())
        if kind is None:
            raise ModelError(
                f"tensor {quoted(self.names[index])} is of type {tensor.Type()}; constants are "
                "real numbers or integers of 8 to 64 bits"
            )
        data = buffer.DataAsNumpy()
        need = math.prod(shape) * np.dtype(kind).itemsize
        if data.nbytes != need:
            raise ModelError(
                f"tensor {quoted(self.names[index])} of shape {shape} has {data.nbytes} bytes, not "
                f"{need}"
            )
        self.memory.take(self.names[index], math.prod(shape))
        array = np.frombuffer(data.tobytes(), kind).reshape(shape)
        self.constants[self.names[index]] = self._constant(index, array)

    def _constant(self, index: int, array: NDArray[Any]) -> Constant:
        found = self._scales(index)
        if found is None or array.dtype.kind == "f":
            return Constant(array.astype(np.float64 if array.dtype.kind == "f" else np.int64))
        scales, zeros, axis = found
        axis = axis if array.ndim > 1 else 0  # biases are said to lie along their weights' axis
        if len(scales) > 1:
            if not 0 <= axis < array.ndim or array.shape[axis] != len(scales):
                raise ModelError(
                    f"tensor {quoted(self.names[index])}: {len(scales)} scales along axis {axis}"
                )
            along = [1] * array.ndim
            along[axis] = -1
            scales, zeros = scales.reshape(along), zeros.reshape(along)
        codes = array.astype(np.int64) - zeros
        middle = 128 if array.dtype == np.uint8 else 0
        offsets = zeros.ravel() - middle
        offset = int(offsets[np.abs(offsets).argmax()])
        return Constant(codes * scales, codes, scales, offset)

    # Operators -------------------------------------------------------------------------------

    def _operator(self, position: int, operator: Any) -> list[Node]:
        codes = self.model.OperatorCodesLength()
        if not 0 <= operator.OpcodeIndex() < codes:
            raise ModelError(f"operator {position} has code {operator.OpcodeIndex()} of {codes}")
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self.codes.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = (
                f"custom operator {printable((code.CustomCode() or b'').decode(errors='replace'))}"
            )
        inputs = [int(i) for i in _numbers(operator.InputsAsNumpy())]
        outputs = [int(i) for i in _numbers(operator.OutputsAsNumpy())]
        call = calls.Call(
            kind,
            self.names[outputs[0]] if outputs else f"{kind}{position}",
            tuple("" if i < 0 else self._name(i) for i in inputs),
            tuple(self._name(i) for i in outputs),
            tuple(inputs),
            tuple(self.grid(i) for i in outputs),
            operator,
            self,
        )
        return operators.nodes(call)


def _numbers(found: Any) -> NDArray[Any]:
    """Return a vector of integers; flatbuffers gives 0 for one that is absent."""
    return found if isinstance(found, np.ndarray) else np.empty(0, np.int64)


def _names(tensors: list[Any]) -> list[str]:
    """Return a name for every tensor, each once; the file need not name them apart."""
    names: list[str] = []
    seen: set[str] = set()
    for index, tensor in enumerate(tensors):
        base = (tensor.Name() or b"").decode(errors="replace") or f"tensor{index}"
        ways = itertools.chain([base], (f"{base}.{i}" for i in itertools.count(index)))
        names.append(next(name for name in ways if name not in seen))
        seen.add(names[-1])
    return names
