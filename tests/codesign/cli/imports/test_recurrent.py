"""A recurrent network of torch: imported, calibrated to 8 bits, built, and simulated bit by bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from codesign.cli.main import main
from models.importing import programs

STEPS, FEATURES = 3, 4
NPU = "npu: {pixels: 1, lanes: 8, columns: 16, weight_digit_bits: 8, post_units: 4}\n"


class Tagger(nn.Module):
    """A cell and a linear layer on its last output."""

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cell, self.last = kind(FEATURES, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.last(self.cell(x)[0][:, -1])


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = Tagger(request.param).eval()
    programs.import_module(module, (1, STEPS, FEATURES), tmp_path / "net")
    x = torch.randn(300, STEPS, FEATURES)
    with torch.no_grad():
        np.savez(tmp_path / "data.npz", x=x.numpy(), y=module(x).numpy())
    (tmp_path / "npu.yaml").write_text(NPU)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *command: Any) -> Any:
    capsys.readouterr()
    assert main([*map(str, command), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.filterwarnings("ignore:.*were assigned during export")
@pytest.mark.parametrize("place", [nn.LSTM, nn.GRU], indirect=True)
def test_cells_are_calibrated_built_and_simulated(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npu, build = place / "npu.yaml", place / "build"
    data = ["--dataset", place / "data.npz", "--layout", "lc", "--task", "numbers"]
    answer(capsys, "build", place / "net", "--npu", npu, *data, "--out", build)
    found = answer(capsys, "evaluate", build, *data)
    assert "r_squared" in json.dumps(found)
    assert answer(capsys, "verify", build, "--images", 1)["bit_exact"]
