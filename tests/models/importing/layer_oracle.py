"""Layers of files, codes to codes: by our integers, TFLite's reference kernels, ONNX Runtime.

A layer of two inputs gets its second one from a layer that changes the codes of the first, which is
then left out: any codes can be given to both.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from models.importing import operators
from models.importing.integers import integer_network
from models.importing.mapping import kernels, moves
from models.importing.mapping.walk import INPUT, Walk, walk
from models.importing.readers.foreign import Node
from models.importing.readers.table import Table
from models.importing.readers.tflite import file as tflite_file
from models.integer import reference
from tests.models.importing import evaluator, reading


def compare(path: Path, count: int, seed: int = 0) -> Any:
    """Steps between both for random codes: (count, values of the output), integers."""
    import ai_edge_litert.interpreter as litert

    session = litert.Interpreter(
        model_path=str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    session.allocate_tensors()
    inputs, (output,) = session.get_input_details(), session.get_output_details()
    rng, walked = np.random.default_rng(seed), _walked(path)
    steps = []
    for _ in range(count):
        given = {}
        for item in inputs:
            q = rng.integers(-128, 128, item["shape"]).astype(np.int8)
            session.set_tensor(item["index"], q)
            given[item["name"]] = q
        session.invoke()
        theirs = session.get_tensor(output["index"]).astype(np.int64) + 128
        steps.append(np.ravel(_ours(*walked, given) - theirs))
    return np.array(steps)


def _walked(path: Path) -> tuple[Walk, str, str]:
    """The walk along a file, and its first input and its output."""
    graph = tflite_file.read(path.read_bytes(), "layer", str(path))
    first, *others = graph.inputs
    for name in others:
        (place,) = [i for i, node in enumerate(graph.nodes) if node.inputs == (name,)]
        node = graph.nodes[place]
        graph.nodes[place] = Node(
            name, "Quantise", (f"{first}#real",), node.outputs, node.attributes
        )
        del graph.inputs[name]
    graph.nodes.sort(key=lambda node: node.op != "Dequantise")
    table = Table()
    found = walk(graph, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    assert [str(row) for row in table.refused] == []
    return found, first, graph.outputs[0]


def _ours(found: Walk, first: str, output: str, given: dict[str, Any]) -> Any:
    """The output's codes, in the layout of the file, for the codes q of its inputs."""
    for name in (f"{name}#real" for name in given):
        found.index(found.values[name])
    network = integer_network("layer", found.stages, found.values[output].stage, Table())
    assert network is not None
    values = {}
    for name, q in given.items():
        value = found.values[f"{name}#real"]
        codes = np.empty(np.prod(found.stages[value.stage].shape), np.int64)
        codes[found.index(value).ravel()] = q.ravel().astype(np.int64) + 128
        values[value.stage] = codes.reshape(1, *found.stages[value.stage].shape)
    for layer in network.mac_layers[:-1]:
        if layer.output not in values:
            values[layer.output] = reference._mac_layer(layer, network.tensors, values)
    last = found.values[output]
    return values[last.stage].ravel()[found.index(last)]


def against_runtime(path: Path, count: int, seed: int = 0) -> dict[str, Any]:
    """Steps of each layer of a QDQ file between ours and ONNX Runtime, from the latter's codes."""
    import onnx
    import onnxruntime

    found, output = reading.walked(path)
    network = integer_network("net", found.stages, found.values[output].stage, Table())
    assert network is not None
    model = onnx.load(path)
    rounded = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    wanted = [node.output[0] for node in rounded if node.output[0] in found.values]
    known = {item.name for item in model.graph.output}
    model.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in wanted if name not in known
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (given,), grid = session.get_inputs(), found.stages[INPUT].grid
    assert grid is not None
    rng, steps = np.random.default_rng(seed), defaultdict(list)
    for _ in range(count):
        shape = [side if isinstance(side, int) else 1 for side in given.shape]
        x = rng.uniform(*grid.range(), shape).astype(np.float32)
        results = zip(wanted, session.run(wanted, {given.name: x}), strict=True)
        codes = evaluator.codes_from(found, dict(results))
        for layer in network.mac_layers[:-1]:
            ours = reference._mac_layer(layer, network.tensors, codes)
            steps[layer.name].append(np.ravel(ours - codes[layer.output]))
    return {name: np.array(parts) for name, parts in steps.items()}
