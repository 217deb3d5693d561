"""Files read as far as the stages, for tests that look at them."""

from __future__ import annotations

from pathlib import Path

from models.importing import operators
from models.importing.mapping import host, kernels, moves
from models.importing.mapping.walk import Walk, walk
from models.importing.readers import onnx_file
from models.importing.readers.table import Table
from models.importing.readers.tflite import file as tflite_file


def walked(path: Path) -> tuple[Walk, str]:
    """The walk along a file, and the name of its last tensor."""
    data = path.read_bytes()
    if data[4:8] == tflite_file.IDENTIFIER:
        graph = tflite_file.read(data, "net", str(path))
    else:
        graph = onnx_file.read(data, "net", path)
    table = Table()
    graph = host.without_host(graph, table)
    found = walk(graph, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    assert [str(row) for row in table.refused] == []
    return found, graph.outputs[0]
