"""Maps that grow: their phases as channels give what torch and ONNX compute, and so on hardware."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from models.importing import operators, programs
from models.importing.mapping import host, kernels, moves
from models.importing.mapping.walk import walk
from models.importing.readers import torch_program
from models.importing.readers.table import Table
from tests.models.importing import evaluator


class Unet(nn.Module):
    """Down twice and up again: nearest, then transposed; sums and concats with finer maps."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 5, 3, padding=1)
        self.deep, self.up = nn.Conv2d(5, 5, 3, padding=1), nn.ConvTranspose2d(5, 4, 2, 2)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = self.first(x).relu()
        y = self.second(functional.max_pool2d(x, 2)).relu()
        z = self.deep(functional.max_pool2d(y, 2))
        y = y + functional.interpolate(z, scale_factor=2)
        return self.last(torch.cat([self.up(y).relu(), x], 1))


class Halved(nn.Module):
    """What follows one half of a map is not what follows the other."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(2, 6, 3)

    def forward(self, x: Any) -> Any:
        p, q, r = self.a(x).chunk(3, 1)
        return torch.cat([p.relu(), functional.leaky_relu(q, 0.3), r], 1)


class Broadcast(nn.Module):
    """Means of columns, added to all rows; of rows; sums and maxima of whole maps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Any) -> Any:
        x = self.a(x)
        x = x + self.b(x.mean(2, keepdim=True)).relu()
        x = x + x.mean((2, 3), keepdim=True)
        return torch.cat([x.amax((2, 3)), x.sum(3).mean(2)], 1)


def up(*parts: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), *parts)


class Skip(nn.Module):
    """A decoder's step: a map doubled bilinearly, joined with a finer one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(2, 4, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return self.last(torch.cat([linear(2)(self.a(x)), self.b(x)], 1))


def linear(scale: Any = None, *, size: Any = None) -> nn.Module:
    """Bilinear resizing by a factor, or to a size with aligned corners."""
    return nn.Upsample(size, scale, "bilinear", align_corners=size is not None)


MODULES: dict[str, Callable[[], nn.Module]] = {
    "u-net": Unet,
    "broadcast": Broadcast,
    "halves": Halved,
    "shuffled, then strided": up(nn.PixelShuffle(2), nn.ReLU(), nn.Conv2d(2, 3, 3, 2, 1)),
    "unshuffled back": up(nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.Conv2d(8, 3, 1)),
    "nearest, depthwise": up(nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1, groups=8)),
    "transposed, grouped": up(
        nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2), nn.Conv2d(6, 4, 3, groups=2, padding=1)
    ),
    "transposed twice": up(
        nn.ConvTranspose2d(8, 4, 3, 2, 1, output_padding=1), nn.BatchNorm2d(4), nn.ReLU(),
        nn.ConvTranspose2d(4, 2, (3, 2), (2, 3), dilation=(2, 1)),
    ),
    "odd rest": up(nn.ConvTranspose2d(8, 3, 3, 2), nn.Flatten(), nn.Linear(3 * 17 * 17, 4)),
    "by three": up(nn.Upsample(scale_factor=3), nn.Conv2d(8, 4, 5, 3, 2), nn.ReLU()),
    "leaky": up(
        nn.LeakyReLU(0.2), nn.MaxPool2d(2), nn.PReLU(8, -0.3), nn.Conv2d(8, 4, 1), nn.PReLU(4),
        nn.BatchNorm2d(4), nn.Hardsigmoid(), nn.AvgPool2d(2), nn.LeakyReLU(),
    ),
    "bilinear, read by windows": up(
        linear(2), nn.Conv2d(8, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, 2)
    ),
    "bilinear twice": up(linear(2), linear(2), nn.Conv2d(8, 3, 3, padding=1)),
    "bilinear of phases": up(nn.ConvTranspose2d(8, 4, 2, 2), linear(2), nn.Conv2d(4, 3, 3)),
    "bilinear of a repeated map": up(nn.Upsample(scale_factor=2), linear(2), nn.Conv2d(8, 3, 3)),
    "bilinear of a shuffled map": up(nn.PixelShuffle(2), linear((2, 3)), nn.Conv2d(2, 3, 3)),
    "bilinear of the input": lambda: nn.Sequential(linear(2), nn.Conv2d(2, 3, 3, padding=1)),
    "bilinear skip": Skip,
    "bilinear by 8, in two layers": up(linear(8)),
    "bilinear up and down": up(linear((3, 1.5)), linear(0.5), nn.Conv2d(8, 3, 3)),
    "bilinear, corners aligned": up(linear(size=(15, 22)), nn.Flatten(), nn.Linear(2640, 3)),
    "bilinear of one place": up(nn.AvgPool2d((8, 1)), linear((4, 2)), nn.Conv2d(8, 3, 3)),
    "linear of one dimension": lambda: nn.Sequential(
        nn.Flatten(2), nn.Conv1d(2, 3, 3), nn.Upsample(scale_factor=2, mode="linear"),
        nn.Conv1d(3, 3, 3),
    ),
    "one dimension": lambda: nn.Sequential(
        nn.Flatten(2), nn.ConvTranspose1d(2, 4, 4, 2, 1), nn.Upsample(scale_factor=2),
        nn.Conv1d(4, 3, 3, padding=1),
    ),
}  # fmt: skip


def same(module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(*shape)
    graph = torch_program.read(torch.export.export(module, (x,)), "net")
    table = Table()
    rest = host.without_host(graph, table)
    found = walk(rest, table, operators.HANDLERS, moves.fold, kernels.check_weights)
    assert [str(row) for row in table.refused] == []
    ours = evaluator.run(found, x.numpy(), rest.outputs[0])
    theirs = module(x).detach().numpy()
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_layers_compute_what_the_module_computes(name: str) -> None:
    torch.manual_seed(0)
    same(MODULES[name]().eval(), (1, 2, 8, 8))


def test_edges_of_high_maps_are_moved_in_steps() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 1), linear((2, 1)), nn.Conv2d(3, 2, 3))
    same(module.eval(), (1, 2, 70, 3))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_transposed_convolution(data: st.DataObject) -> None:
    draw = data.draw
    groups = draw(st.sampled_from([1, 1, 2]))
    kernel, stride = (draw(st.tuples(st.integers(1, 5), st.integers(1, 5))) for _ in range(2))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(draw(st.integers(0, min(r, 3))) for r in reach)
    most = [max(s, d) for s, d in zip(stride, dilation, strict=True)]
    more = tuple(draw(st.integers(0, m - 1)) for m in most)
    torch.manual_seed(draw(st.integers(0, 99)))
    behind = nn.Conv2d(4, 2, draw(st.integers(1, 3)), draw(st.integers(1, 3)), padding=1)
    first = nn.ConvTranspose2d(
        2,
        4,
        kernel,
        stride,
        padding,
        more,
        groups,
        True,
        dilation,  # type: ignore[arg-type]
    )
    with torch.no_grad():
        sides = first(torch.zeros(1, 2, 4, 3)).shape[2:]
    whole = all(side % s == 0 for side, s in zip(sides, stride, strict=True))
    fits = whole and all(side + 2 >= behind.kernel_size[0] for side in sides)
    parts = (first, behind) if fits and draw(st.booleans()) else (first,)
    same(nn.Sequential(*parts), (1, 2, 4, 3))


def test_graphs_of_real_numbers_compute_it_too() -> None:
    """The network graph, which gets bits and is built: as the module, in its own order."""
    from models.quantisation.plan import Quantisation
    from models.training.network import QuantNetwork

    torch.manual_seed(1)
    module = Unet().eval()
    found = programs.import_module(module, (1, 2, 8, 8))
    assert found.floating
    assert found.output
    assert found.output.order is not None
    network = QuantNetwork(found.floating.graph, Quantisation())
    for layer in network.weight_layers:
        name = next(n.name for n in network.nodes if n.module is layer)
        layer.weight.data = torch.from_numpy(found.floating.weights[f"{name}.weight"])
        layer.bias.data = torch.from_numpy(found.floating.weights[f"{name}.bias"])
    x = torch.rand(3, 2, 8, 8)
    ours = network.eval().tensors_from(x)[found.floating.graph.output.name]
    laid = ours.flatten(1)[:, torch.from_numpy(found.output.order)]
    assert torch.allclose(laid, module(x).flatten(1), atol=1e-4)
