"""Networks of torch in memory: modules, and programs of torch.export, quantised (PT2E) ones too.

There is no command for them, as no file is read: a Python call gives the module, and writes the
same network folder as ``codesign import``.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import ModelError
from models.importing import folder, imports
from models.importing.imports import Imported, Source
from models.importing.readers import torch_program
from models.importing.readers.foreign import ForeignGraph

if TYPE_CHECKING:
    import torch

FORMAT = "torch"
"""``Source.format`` of what came from a program."""


def import_module(
    module: torch.nn.Module,
    example: torch.Tensor | Sequence[int],
    out: Path | None = None,
    *,
    name: str = "",
    input_range: tuple[float, float] | None = None,
) -> Imported:
    """Import a module as it computes in evaluation mode; the module itself stays as it is.

    example: an input of the network, or its shape (1, channels, rows, columns); of more than one
    image the first counts. out: network folder to write, if nothing is refused. name: of the
    network, the module's class if it is not given. input_range: as in ``imports.read``. Raises
    ModelError for a module that torch.export does not take, and FileError and OSError as
    ``folder.save`` does.
    """
    import torch

    given = example if isinstance(example, torch.Tensor) else torch.zeros(*example)
    if not given.ndim:
        raise ModelError("the example input is a number, not a tensor of one image")
    frozen = copy.deepcopy(module).eval()
    try:
        with torch.no_grad():
            program = torch.export.export(frozen, (given[:1],))
    except Exception as error:
        raise ModelError(f"torch.export does not take the module: {error}") from error
    label = name or type(module).__name__
    return import_program(program, out, name=label, input_range=input_range)


def import_program(
    program: Any,
    out: Path | None = None,
    *,
    name: str = "program",
    input_range: tuple[float, float] | None = None,
) -> Imported:
    """Import a torch.export.ExportedProgram, also one that PT2E quantised, before decomposition.

    out, name, input_range: as in ``import_module``. Raises ModelError, FileError, OSError.
    """
    label = imports.network_name(Path(name.replace("/", "_")))
    graph = torch_program.read(program, label)
    source = Source(name, FORMAT, _digest(graph))
    found = imports.from_graph(graph, source, input_range)
    if out is not None and not found.table.refused:
        folder.save(found, out)
    return found


def _digest(graph: ForeignGraph) -> str:
    """Return the SHA-256 of a graph's nodes and constants, which stands for that of a file."""
    found = hashlib.sha256()
    for node in graph.nodes:
        found.update(repr((node.op, node.inputs, node.outputs)).encode())
    for name, constant in graph.constants.items():
        found.update(name.encode() + constant.values.tobytes())
    return found.hexdigest()
