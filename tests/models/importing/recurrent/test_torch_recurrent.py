"""torch's recurrent layers, one, several or in both directions, against torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.importing import operators, programs
from models.importing.mapping import host, kernels, moves
from models.importing.mapping.walk import walk
from models.importing.readers import torch_program
from models.importing.readers.table import Table
from tests.models.importing import evaluator


class Picked(nn.Module):
    """One of the outputs of a recurrent layer."""

    def __init__(self, cell: nn.Module, out: int) -> None:
        super().__init__()
        self.cell, self.out = cell, out

    def forward(self, x: Any) -> Any:
        y, last = self.cell(x)
        return (y, *(last if isinstance(last, tuple) else (last,)))[self.out]


@pytest.mark.filterwarnings("ignore:.*were assigned during export")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_cells_compute_what_torch_computes(kind: Any) -> None:
    torch.manual_seed(0)
    cases = itertools.product((False, True), (1, 2), (False, True))
    for number, (first, layers, both) in enumerate(cases):
        how = {"batch_first": first, "num_layers": layers, "bidirectional": both}
        more: dict[str, Any] = {"nonlinearity": "relu"} if kind is nn.RNN and both else {}
        out = number % (3 if kind is nn.LSTM else 2)
        module = Picked(kind(5, 3, bias=number % 3 > 0, **how, **more), out).eval()
        x = torch.randn((1, 4, 5) if first else (4, 1, 5))
        program = torch.export.export(module, (x,))
        table = Table()
        graph = host.without_host(torch_program.read(program, "net"), table)
        found = walk(graph, table, operators.HANDLERS, moves.fold, kernels.check_weights)
        assert [str(row) for row in table.refused] == []
        wanted = module(x).detach().numpy()
        values = evaluator.run(found, x.numpy(), graph.outputs[0])
        assert values.shape == wanted.shape
        assert np.abs(values - wanted).max() < 1e-5


@pytest.mark.filterwarnings("ignore:.*were assigned during export")
def test_projections_are_refused() -> None:
    module = Picked(nn.LSTM(5, 4, proj_size=2, batch_first=True), 0)
    (row,) = programs.import_module(module, (1, 3, 5)).table.refused
    assert row.operator == "aten.lstm"
    assert "projects" in row.reason
