"""What becomes of a node test: each way that is imported must give the test's outputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import ModelError
from models.files.reading import FileError
from models.importing import operators
from models.importing.mapping import host, kernels, moves
from models.importing.mapping.stages import Stage
from models.importing.mapping.walk import INPUT, Walk, walk
from models.importing.readers import onnx_file
from models.importing.readers.table import Table
from tests.models.importing import evaluator
from tests.models.importing.node_tests.cases import Way, ways


@dataclass(frozen=True)
class Outcome:
    """verdict: passed, refused or wrong; why: what was refused, or which way differs."""

    verdict: str
    why: str = ""


def run(test: Any) -> Outcome:
    """The outcome of a node test: passed if one way at least is imported, and all are right."""
    reasons, passed = [], False
    for way in ways(test):
        try:
            found = _imported(way)
        except (ModelError, FileError) as error:
            reasons.append(str(error))
            continue
        for x, y in way.pairs:
            ours = _evaluate(found, x)
            if not _same(found, ours, y, test):
                return Outcome("wrong", f"{way.name}: {np.ravel(ours)[:6]} {np.ravel(y)[:6]}")
        passed = True
    if passed:
        return Outcome("passed")
    return Outcome("refused", reasons[-1] if reasons else "has no input")


def _imported(way: Way) -> tuple[Walk, str]:
    graph = onnx_file.read(way.model.SerializeToString(), "node", Path("node.onnx"))
    table = Table()
    graph = host.without_host(graph, table)
    found = walk(graph, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    if table.refused:
        raise ModelError(str(table.refused[0]))
    if graph.outputs[0] not in {**found.values, **found.constants}:
        raise ModelError("its output is none of what the node computes of its first input")
    return found, graph.outputs[0]


def _evaluate(found: tuple[Walk, str], x: Any) -> Any:
    walked, output = found
    if output in walked.constants:
        return walked.constants[output].values
    stage = walked.stages[INPUT]
    if stage.grid is not None and _is_whole(x):  # the host brings codes
        shift = 1 << (stage.grid.bits - 1) if stage.grid.signed else 0
        x = stage.grid.scale * (x.astype(float) + shift - stage.grid.zero_point)
    return evaluator.run(walked, x, output)


def _is_whole(array: Any) -> bool:
    return array.dtype.name.lstrip("u").startswith("int")


def _same(found: tuple[Walk, str], ours: Any, theirs: Any, test: Any) -> bool:
    walked, output = found
    if ours.shape != theirs.shape:
        return False
    if output in walked.values and _is_whole(theirs):
        stage: Stage = walked.stages[walked.values[output].stage]
        if stage.grid is None:
            return bool(np.array_equal(ours, theirs))
        shift = 1 << (stage.grid.bits - 1) if stage.grid.signed else 0
        codes = np.rint(ours / stage.grid.scale) + stage.grid.zero_point - shift
        low, high = stage.grid.low - shift, stage.grid.high - shift
        return bool(np.array_equal(np.clip(codes, low, high), theirs))
    # Casts to fewer bits leave values alone here.
    step = {"float16": 2.0**-10, "bfloat16": 2.0**-7}.get(theirs.dtype.name, 0.0)
    close = np.allclose(ours, theirs.astype(float), max(test.rtol, step), 1e-6, equal_nan=True)
    return bool(close)
