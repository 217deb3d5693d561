"""Outputs that one last layer cannot give are refused by name; and what is left to the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from models.errors import ModelError
from models.importing import imports, programs
from models.importing.mapping import host
from tests.models.importing.onnx_models import model, node, write
from tests.models.importing.outputs.heads import Heads


def named(made: Any, *outputs: str) -> Any:
    for name in outputs:
        made.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    return made


def refusals(path: Path) -> list[str]:
    return [str(row) for row in imports.read(path).table.refused]


def two(end: str) -> Any:
    """A quantised trunk with a rounded head, and one that ends otherwise, unrounded."""
    h = Heads(0, quantised=True)
    trunk = h.relu(h.conv(h.rounded("x", -3.0, 3.2), 3, 4))
    h.end(h.conv(trunk, 4, 2), rounded=True)
    if end == "clipped":
        made = h.conv(trunk, 4, 3)
        h.q.nodes.append(node("Relu", [made], ["bad"], "relu"))
    elif end == "strided":
        h.outputs.append(h.conv(trunk, 4, 3, stride=2))
    elif end == "constant":
        h.q.constants["one"] = np.ones((1, 2), np.float32)
        h.q.nodes.append(node("Identity", ["one"], ["bad"], "same"))
    elif end == "input":
        h.q.nodes.append(node("Identity", ["x"], ["bad"], "same"))
    elif end == "unknown":
        h.q.nodes.append(node("Selu", [trunk], ["bad"], "selu"))
    if end != "strided":
        h.outputs.append("bad")
    return h.model()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("clipped", "output bad is not quantised, and one last layer cannot compute it"),
        ("strided", "output conv4 is not quantised, and one last layer cannot compute it"),
        ("constant", "output bad is not computed of the network's input; instead: leave it out"),
        ("input", "output bad is not computed of the network's input; instead: leave it out"),
        ("unknown", "selu (Selu): is no operator that can be mapped"),
    ],
)
def test_an_output_that_no_last_layer_gives_is_refused_by_name(
    end: str, said: str, tmp_path: Path
) -> None:
    (found,) = refusals(write(tmp_path / "m.onnx", two(end)))
    assert said in found


def test_float_weights_beside_quantised_ones_are_refused_by_name(tmp_path: Path) -> None:
    made = two("strided")
    made.graph.node.append(node("Conv", ["relu2_d", "k"], ["bad"], "float"))
    weights = np.zeros((2, 4, 1, 1), np.float32)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weights, "k"))
    made.graph.output[1].name = "bad"
    (found,) = refusals(write(tmp_path / "m.onnx", made))
    assert "output bad: the weights are not quantised" in found


def test_the_part_before_what_is_refused_can_still_be_taken(tmp_path: Path) -> None:
    found = imports.read(write(tmp_path / "m.onnx", two("unknown")), partition=True)
    assert found.output
    assert found.output.name == "relu2_d"


def test_a_network_of_inputs_and_constants_alone_computes_nothing(tmp_path: Path) -> None:
    constants = {"one": np.ones((1, 2), np.float32)}
    nodes = [node("Identity", ["x"], ["a"], "same"), node("Identity", ["one"], ["b"], "same2")]
    made = named(model(nodes, constants, out="a"), "b")
    with pytest.raises(ModelError, match="computes nothing of its input"):
        imports.read(write(tmp_path / "m.onnx", made))


def test_more_outputs_than_any_network_has_are_refused(tmp_path: Path) -> None:
    names = [f"y{i}" for i in range(host.MOST_OUTPUTS + 1)]
    nodes = [node("Conv", ["x", "w"], ["a"], "conv")]
    nodes += [node("Relu", ["a"], [name], name) for name in names]
    made = named(model(nodes, {"w": np.ones((2, 3, 1, 1), np.float32)}, out="y0"), *names[1:])
    with pytest.raises(ModelError, match="65 outputs, more than 64"):
        imports.read(write(tmp_path / "m.onnx", made))


def test_what_the_host_does_at_one_output_is_not_taken_from_another(tmp_path: Path) -> None:
    """A sigmoid that a convolution reads, too, stays; softmax and argmax of one vector go."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(0, 1, (2, 4, 1, 1)).astype(np.float32),
        "u": rng.normal(0, 1, (3, 4, 6, 6)).astype(np.float32),
    }
    nodes = [
        node("Conv", ["x", "w"], ["a"], "a"), node("Sigmoid", ["a"], ["gate"], "sigmoid"),
        node("Conv", ["gate", "v"], ["map"], "map"), node("Conv", ["gate", "u"], ["l"], "last"),
        node("Softmax", ["l"], ["scores"], "soft", axis=1),
        node("ArgMax", ["l"], ["best"], "best", axis=1),
    ]  # fmt: skip
    made = named(model(nodes, constants, out="gate"), "map", "scores", "best")
    found = imports.read(write(tmp_path / "m.onnx", made))
    assert [(one["name"], one["tensor"]) for one in imports.summary(found)["outputs"]] == [
        ("gate", "gate"), ("map", "map"), ("scores", "l"), ("best", "l"),
    ]  # fmt: skip
    assert {row.operator for row in found.table.of("host")} == {"Softmax", "ArgMax"}
    layers = {row.name: row.layer for row in found.table.of("mapped")}
    assert (layers["map"], layers["last"], layers["sigmoid"]) == ("outputs", "outputs", "sigmoid")


def test_programs_of_torch_may_have_several_outputs() -> None:
    import torch
    from torch import nn

    from models.calibration import loading
    from models.quantisation.plan import Quantisation

    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            self.fine, self.coarse = nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(4, 6, 3, stride=2)
            self.classes = nn.Linear(64, 5)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            found = self.trunk(x)
            return self.fine(found), self.coarse(found), self.classes(found.flatten(1)).softmax(1)

    torch.manual_seed(0)
    module = Detector().eval()
    found = programs.import_module(module, (1, 1, 8, 8))
    assert found.floating
    network = loading.load(found.floating, Quantisation())
    x = torch.rand(2, 1, 8, 8)
    last = network.tensors_from(x)[network.output_name].flatten(1)
    trunk = module.trunk(x)
    wanted = [module.fine(trunk), module.coarse(trunk), module.classes(trunk.flatten(1))]
    for end, there in zip(found.outputs, wanted, strict=True):
        assert end.order is not None
        assert end.file_shape[1:] == there.shape[1:]
        assert torch.allclose(last[:, torch.from_numpy(end.order)], there.flatten(1), atol=1e-5)
