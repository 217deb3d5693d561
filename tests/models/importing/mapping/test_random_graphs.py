"""Random graphs of the operators that are mapped, against ONNX Runtime; refused, or equal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
from onnx import ModelProto  # noqa: E402

from models.errors import ModelError  # noqa: E402
from models.files.reading import FileError  # noqa: E402
from models.importing import operators  # noqa: E402
from models.importing.mapping import host, kernels, moves  # noqa: E402
from models.importing.mapping.walk import walk  # noqa: E402
from models.importing.readers import onnx_file  # noqa: E402
from models.importing.readers.table import Table  # noqa: E402
from tests.models.importing import evaluator  # noqa: E402
from tests.models.importing.mapping.random_graphs import random_model  # noqa: E402

state = runtime.capi.onnxruntime_pybind11_state
GRAPHS = {2: 60, 3: 80, 4: 80}
"""How many graphs of tensors of so many axes."""
MAPPED = {2: 0.9, 3: 0.9, 4: 0.5}
"""The least part of them that is not refused."""


def outcome(made: ModelProto, seed: int) -> str:
    """What became of a float graph: refused, right, or wrong."""
    sides = [d.dim_value for d in made.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(seed).normal(0, 1, sides).astype(np.float32)
    try:
        theirs = _theirs(made, x)
    except (state.Fail, state.InvalidArgument, state.RuntimeException):
        return "no graph"
    table = Table()
    try:
        graph = host.without_host(onnx_file.read(made.SerializeToString(), "n", Path("n")), table)
        found = walk(graph, table, operators.HANDLERS, moves.fold, kernels.check_weights)
        if table.refused:
            return "refused"
        if table.of("host"):
            made.graph.output[0].name = graph.outputs[0]
            theirs = _theirs(made, x)
        ours = evaluator.run(found, x, graph.outputs[0])
    except (ModelError, FileError):
        return "refused"
    near = ours.shape == theirs.shape and np.allclose(
        ours, theirs, atol=1e-4 * max(1, np.abs(theirs).max())
    )
    return "right" if near else "wrong"


def _theirs(made: ModelProto, x: Any) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(made.SerializeToString(), options).run(None, {"x": x})[0]


@pytest.mark.parametrize("axes", GRAPHS)
def test_random_graphs_compute_what_onnx_runtime_computes(axes: int) -> None:
    found = {seed: outcome(random_model(seed, axes), seed) for seed in range(GRAPHS[axes])}
    assert [seed for seed, said in found.items() if said == "wrong"] == []
    assert Counter(found.values())["right"] > MAPPED[axes] * len(found)
