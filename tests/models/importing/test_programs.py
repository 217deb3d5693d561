"""Modules and programs of torch: layers that compute what the module does, and PT2E's codes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from models.errors import ModelError
from models.files.reading import FileError
from models.importing import folder, imports, operators, programs
from models.importing.mapping import host, kernels, moves
from models.importing.mapping.walk import walk
from models.importing.readers import torch_program
from models.importing.readers.table import Table
from models.integer import reference
from tests.models.importing import evaluator


class Residual(nn.Module):
    """Batch norms, a skip connection, depthwise weights, slices, a concat and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        y = functional.relu(self.norm(self.depth(x)))
        x = functional.max_pool2d(x + y, 2)
        a, b = x.chunk(2, 1)
        x = torch.cat([b, a[:, 1:3], a[:, :2]], 1)
        return self.last(self.drop(functional.adaptive_avg_pool2d(x, 1).flatten(1)))


class Shuffled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, stride=2, groups=3), nn.Conv2d(6, 4, 1, groups=2)

    def forward(self, x: Any) -> Any:
        x = functional.channel_shuffle(self.a(x / 2 - 1), 3)
        x = self.b(functional.pad(x, (1, 0, 0, 2))).clamp(min=0)
        return functional.avg_pool2d(x, 2)


class Causal(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3, dilation=2)

    def forward(self, x: Any) -> Any:
        return x + self.conv(functional.pad(x, (4, 0))).relu()


class Unit(nn.Module):
    """A vector divided by its length."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 4)

    def forward(self, x: Any) -> Any:
        return functional.normalize(self.last(x.flatten(1)))


def test_the_division_by_a_vectors_length_is_the_hosts() -> None:
    found = programs.import_module(Unit(), (1, 3, 2, 2))
    assert found.floating
    rows = {row.operator: row.note for row in found.table.of("host")}
    assert rows["aten.div"] == "the largest output stays the largest"
    assert [layer.name for layer in found.floating.graph.layers] == ["input", "last"]


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.rows = nn.Conv1d(3, 6, 5, stride=2), nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return self.rows(self.conv(x).relu().permute(0, 2, 1)).mean(1)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "residual": (Residual, (1, 3, 8, 8)),
    "shuffled": (Shuffled, (1, 3, 9, 9)),
    "sequence": (Sequence, (1, 3, 21)),
    "causal": (Causal, (1, 3, 21)),
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2)),
               (1, 3, 2, 2)),
}  # fmt: skip


def made(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    build, shape = MODULES[name]
    module = build()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
    return module.eval(), shape


@pytest.mark.parametrize("core", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_layers_compute_what_the_module_computes(name: str, core: bool) -> None:
    """Programs as they are exported, and in the core operators that they are made of."""
    module, shape = made(name)
    x = torch.randn(*shape)
    program = torch.export.export(module, (x,))
    graph = torch_program.read(program.run_decompositions() if core else program, "net")
    table = Table()
    rest = host.without_host(graph, table)
    found = walk(rest, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    assert [str(row) for row in table.refused] == []
    ours = evaluator.run(found, x.numpy(), rest.outputs[0])
    theirs = module(x).detach().numpy()
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-4)


def test_a_module_becomes_a_network_folder_and_stays_as_it_is(tmp_path: Path) -> None:
    module = made("residual")[0].train()
    before = copy.deepcopy(module.state_dict())
    found = programs.import_module(module, (4, 3, 8, 8), tmp_path / "net")
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert found.floating
    assert [layer.name for layer in found.floating.graph.layers][1:3] == ["first.0", "depth"]
    assert folder.load(tmp_path / "net").source.format == "torch"


def test_what_is_not_mapped_is_refused_by_the_name_of_the_module() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.AdaptiveMaxPool2d(2))
    found = programs.import_module(module, (1, 3, 8, 8))
    rows = [(row.name, row.operator, row.instead) for row in found.table.refused]
    assert rows[0] == ("1", "aten.instance_norm", "use batch norm")
    assert rows[1][:2] == ("2", "aten.adaptive_max_pool2d")
    assert imports.layers(found) == []


@pytest.mark.parametrize(
    "pooled", [nn.MaxPool2d((3, 1), 1, (1, 0)), nn.AvgPool2d((3, 1), 1), nn.AdaptiveAvgPool2d(2)]
)
def test_a_map_without_a_batch_is_not_pooled_as_a_sequence(pooled: nn.Module) -> None:
    found = programs.import_module(nn.Sequential(pooled, nn.ReLU()), (1, 8, 8))
    (row,) = found.table.refused
    assert row.reason == "its input of shape (1, 8, 8) has no batch"


def test_integers_are_divided_as_torch_divides_them() -> None:
    class Halved(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x) * (torch.tensor([-7]) / 2)

    program = torch.export.export(Halved(), (torch.zeros(1, 3, 2, 2),))
    graph = torch_program.read(program, "net")
    found = walk(graph, Table(), operators.HANDLERS, moves.fold, kernels.check_weights)
    x = np.ones((1, 3, 2, 2), np.float32)
    assert np.allclose(evaluator.run(found, x, graph.outputs[0]), -3.5)


def test_files_of_programs_are_refused_with_the_call_that_takes_them(tmp_path: Path) -> None:
    program = torch.export.export(made("linear")[0], (torch.zeros(1, 3, 2, 2),))
    torch.export.save(program, tmp_path / "net.pt2")
    torch.save({}, tmp_path / "net.pth")
    for name in ("net.pt2", "net.pth"):
        with pytest.raises(FileError, match=r"pickles.*programs\.import_program"):
            imports.read(tmp_path / name)


class Branching(nn.Module):
    def forward(self, x: Any) -> Any:
        return x if x.sum() > 0 else -x


def test_modules_that_torch_cannot_export_are_refused() -> None:
    with pytest.raises(ModelError, match=r"torch\.export does not take the module"):
        programs.import_module(Branching(), (1, 3, 8, 8))


class Quantised(nn.Module):
    """A convolution with ReLU as PT2E leaves it: int8 weights per channel, codes of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w", torch.randint(-127, 128, (4, 3, 3, 3), dtype=torch.int8))
        self.register_buffer("s", torch.rand(4) * 0.01 + 0.005)
        self.register_buffer("z", torch.zeros(4, dtype=torch.int64))
        self.bias = nn.Parameter(torch.randn(4))

    def forward(self, x: Any) -> Any:
        ops = torch.ops.quantized_decomposed
        w = ops.dequantize_per_channel(self.w, self.s, self.z, 0, -127, 127, torch.int8)
        q = ops.quantize_per_tensor(x, 0.02, 9, -128, 127, torch.int8)
        x = ops.dequantize_per_tensor(q, 0.02, 9, -128, 127, torch.int8)
        x = functional.conv2d(x, w, self.bias).relu()
        q = ops.quantize_per_tensor(x, 0.05, -128, -128, 127, torch.int8)
        return ops.dequantize_per_tensor(q, 0.05, -128, -128, 127, torch.int8)


def compare(program: Any, module: Any, shape: tuple[int, ...], count: int) -> Any:
    """Steps of the output between the imported network and the module, for random inputs."""
    found = programs.import_program(program)
    assert [str(row) for row in found.table.refused] == []
    assert found.integer
    assert found.input
    assert found.output
    assert found.output.grid
    x = torch.randn(count, *shape)
    codes = found.input.codes(x.numpy()).astype(np.uint8)
    ours = reference.run(found.integer, codes)[found.integer.output.name]
    theirs = np.stack([module(one[None]).detach().numpy().ravel() for one in x])
    theirs = theirs / found.output.grid.scale
    assert np.ptp(theirs) > 100
    return np.rint(np.abs(ours - theirs))


def test_quantised_programs_give_their_codes_within_a_step() -> None:
    pytest.importorskip("torch.ao.quantization.fx._decomposed", reason="no PT2E operators")
    torch.manual_seed(1)
    module = Quantised().eval()
    program = torch.export.export(module, (torch.zeros(1, 3, 8, 8),))
    steps = compare(program, module, (3, 8, 8), 10)
    assert steps.max() <= 1
    assert (steps == 0).mean() >= 0.995


def test_what_torchao_quantises_is_within_its_steps() -> None:
    flow = pytest.importorskip("torchao.quantization.pt2e.quantize_pt2e", reason="no torchao")
    rules = pytest.importorskip("torchao.testing.pt2e._xnnpack_quantizer", reason="no quantiser")
    module, shape = made("residual")
    example = (torch.randn(*shape),)
    config = rules.get_symmetric_quantization_config(is_per_channel=True)
    plan = rules.XNNPACKQuantizer().set_global(config)
    prepared = flow.prepare_pt2e(torch.export.export(module, example).module(), plan)
    for _ in range(20):
        prepared(torch.randn(*shape))
    done = flow.convert_pt2e(prepared)
    steps = compare(torch.export.export(done, example), done, shape[1:], 20)
    assert steps.max() <= 2
    assert steps.mean() <= 0.3
