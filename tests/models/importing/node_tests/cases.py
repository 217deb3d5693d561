"""Node tests as networks of one input: the test's first input; its others become constants."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from models.importing.mapping import host
from models.importing.operators import HANDLERS
from models.importing.readers import onnx_operators

OPERATORS = (set(HANDLERS) | set(onnx_operators.READERS)) - {"Constant", *host.OPERATORS}
"""Operators of ONNX that are mapped, and not left to the host at the end."""
BY_IMAGE = {
    "AveragePool", "BatchNormalization", "Conv", "Gemm", "GlobalAveragePool", "MatMul", "MaxPool",
}  # fmt: skip
"""Operators that compute each image of a batch by itself."""


@dataclass(frozen=True, eq=False)
class Way:
    """A node test as one network: its model and the pairs of input and output to compare."""

    name: str
    model: ModelProto
    pairs: list[tuple[Any, Any]]


def cases() -> dict[str, Any]:
    """The node tests whose nodes are all mapped operators or constants, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it computes with infinities
        tests = load_model_tests(kind="node")
    found = {}
    for test in tests:
        operators = {node.op_type for node in test.model.graph.node}
        if operators <= OPERATORS | {"Constant"} and operators & OPERATORS:
            found[test.name] = test
    return found


def ways(test: Any) -> Iterator[Way]:
    """As the test stands; image by image; and flat, with a Reshape of the input in front."""
    inputs, outputs = test.data_sets[0]
    model = copy.deepcopy(test.model)
    given = list(model.graph.input)
    if not given:
        return
    for item, array in list(zip(given, inputs, strict=True))[1:]:
        model.graph.initializer.append(_constant(array, item.name))
    first, x = given[0], _array(inputs[0])
    del model.graph.input[1:]
    for position, output in enumerate(outputs):
        one = copy.deepcopy(model)
        del one.graph.output[:]
        one.graph.output.append(model.graph.output[position])
        y = _array(output)
        yield Way("as it is", one, [(x, y)])
        batches = {node.op_type for node in one.graph.node} <= BY_IMAGE and (
            x.ndim > 1 and y.ndim > 1 and x.shape[0] == y.shape[0] > 1
        )
        if batches:
            yield Way("by image", _shaped(one, first.name, (1, *x.shape[1:])),
                      [(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])  # fmt: skip
        if x.ndim > 1 and x.shape[0] > 1:
            yield Way("flat", _flat(one, first.name, x.shape), [(x.reshape(1, -1), y)])


def _array(given: Any) -> Any:
    return numpy_helper.to_array(given) if isinstance(given, TensorProto) else np.asarray(given)


def _constant(array: Any, name: str) -> TensorProto:
    """A test's input as a constant; those of types without numpy's own are tensors already."""
    made = array if isinstance(array, TensorProto) else numpy_helper.from_array(array)
    made.name = name
    return made


def _shaped(model: ModelProto, name: str, shape: tuple[int, ...]) -> ModelProto:
    """The model with another shape of its input."""
    made = copy.deepcopy(model)
    kind = made.graph.input[0].type.tensor_type.elem_type
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info(name, kind, shape))
    return made


def _flat(model: ModelProto, name: str, shape: tuple[int, ...]) -> ModelProto:
    made = _shaped(model, f"{name}_flat", (1, int(np.prod(shape))))
    made.graph.initializer.append(
        helper.make_tensor(f"{name}_shape", TensorProto.INT64, [len(shape)], shape)
    )
    reshape: NodeProto = helper.make_node(
        "Reshape", [f"{name}_flat", f"{name}_shape"], [name], "unflatten"
    )
    nodes = [reshape, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made
