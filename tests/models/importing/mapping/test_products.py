"""Products of two maps, such as squeeze and excite: by tables of squares, and how near they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
import torch  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from models.calibration import loading  # noqa: E402
from models.importing import imports  # noqa: E402
from models.integer import reference  # noqa: E402
from models.integer.network import ConcatLayer  # noqa: E402
from models.quantisation.plan import Quantisation  # noqa: E402
from tests.models.importing import evaluator, onnx_models  # noqa: E402
from tests.models.importing.onnx_models import model, node, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402


def constants() -> dict[str, Any]:
    rng = np.random.default_rng(4)
    shapes = {"w": (6, 3, 3, 3), "up": (6, 6, 1, 1), "fc": (6, 6), "three": (3, 6, 1, 1)}
    found: dict[str, Any] = {
        name: rng.normal(0, 0.4, shape).astype(np.float32) for name, shape in shapes.items()
    }
    ends = {
        "first": [0],
        "third": [3],
        "sixth": [6],
        "channel": [1],
        "pads": [0, 0, 1, 1, 0, 0, 1, 1],
    }
    found |= {str(number): np.float32(number) for number in (0, 3, 6)}
    found["each"] = np.linspace(0.5, 2, 6, dtype=np.float32)
    return found | {name: np.array(value) for name, value in ends.items()}


CONV = node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 0, 1, 1])
SQUEEZE = [
    node("Relu", ["c"], ["r"], "relu"), node("GlobalAveragePool", ["r"], ["p"], "pool"),
    node("Conv", ["p", "up"], ["u"], "up"), node("Sigmoid", ["u"], ["g"], "gate"),
]  # fmt: skip
HALVES = [
    node("Slice", ["c", "first", "third", "channel"], ["h"], "low"),
    node("Slice", ["c", "third", "sixth", "channel"], ["k"], "high"),
]
MODELS: dict[str, list[Any]] = {
    "gate": [CONV, *SQUEEZE, node("Mul", ["r", "g"], ["y"], "scale")],
    "gate first, of a signed map": [CONV, *SQUEEZE, node("Mul", ["g", "c"], ["y"], "scale")],
    "channels last": [
        CONV, *SQUEEZE, node("Transpose", ["c"], ["ct"], perm=[0, 2, 3, 1]),
        node("Transpose", ["g"], ["gt"], perm=[0, 2, 3, 1]), node("Mul", ["ct", "gt"], ["y"]),
    ],
    "gate of some channels": [
        CONV, *SQUEEZE, *HALVES, node("Slice", ["g", "third", "sixth", "channel"], ["gs"]),
        node("Mul", ["h", "gs"], ["y"]),
    ],
    "gate without a bound": [CONV, *SQUEEZE, node("Mul", ["r", "u"], ["y"], "scale")],
    "halves, as a gated linear unit": [
        CONV, *HALVES, node("Sigmoid", ["k"], ["s"]), node("Mul", ["h", "s"], ["y"]),
    ],
    "a padded map": [
        CONV, *SQUEEZE, node("Pad", ["c", "pads"], ["q"]), node("Mul", ["q", "g"], ["y"]),
    ],
    "two maps": [CONV, *SQUEEZE[:1], node("Mul", ["r", "c"], ["y"], "product")],
    "two vectors": [
        CONV, *SQUEEZE, node("Flatten", ["g"], ["gf"]), node("Gemm", ["gf", "fc"], ["v"]),
        node("Mul", ["v", "gf"], ["y"], "product"),
    ],
    "a square": [CONV, node("Mul", ["c", "c"], ["y"], "square")],
    "what follows": [
        CONV, *SQUEEZE, node("Mul", ["r", "g"], ["m"], "scale"), node("Relu", ["m"], ["n"]),
        node("Add", ["n", "c"], ["s"]), node("Conv", ["s", "three"], ["y"]),
    ],
    "hard swish spelled out": [
        CONV, node("Add", ["c", "3"], ["a"]), node("Clip", ["a", "0", "6"], ["b"]),
        node("Mul", ["c", "b"], ["d"], "product"), node("Div", ["d", "6"], ["y"], "sixth"),
    ],
    "a product scaled in each channel": [
        CONV, *SQUEEZE[:1], node("Mul", ["r", "c"], ["m"], "product"),
        node("BatchNormalization", ["m", *["each"] * 4], ["y"], "norm"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_stages_and_the_float_network_compute_the_product(name: str, tmp_path: Path) -> None:
    made = model(MODELS[name], constants())
    path = write(tmp_path / "m.onnx", made)
    walk, output = walked(path)
    x = np.random.default_rng(5).normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
    (theirs,) = ReferenceEvaluator(made).run(None, {"x": x})
    ours = evaluator.run(walk, x, output)
    assert ours.shape == theirs.shape
    assert np.allclose(ours, theirs, atol=1e-4)
    found = imports.read(path)
    assert found.floating
    network = loading.load(found.floating, Quantisation())
    with torch.no_grad():
        graph = network.tensors_from(torch.from_numpy(x))[network.output_name].numpy().ravel()
    assert found.output
    order = found.output.order
    assert np.allclose(graph if order is None else graph[order], theirs.ravel(), atol=1e-4)


REFUSED = {
    "a number for each row": (
        [
            CONV, node("AveragePool", ["c"], ["p"], kernel_shape=[1, 7]),
            node("Mul", ["c", "p"], ["y"]),
        ],
        "multiplies maps of",
    ),
    "a division": ([CONV, *SQUEEZE, node("Div", ["c", "g"], ["y"])], "divides by a computed map"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_products_are_refused_by_name(name: str, tmp_path: Path) -> None:
    nodes, reason = REFUSED[name]
    found = imports.read(write(tmp_path / "m.onnx", model(nodes, constants())))
    assert any(reason in row.reason for row in found.table.refused)


LARGEST = {
    "scale1": 0.0213 * 255 * 255 / 256,
    "scale2": 0.0151 * 138 * 255 / 256,
    "product": 0.0151 * 138 * 0.0131 * 130,
}
"""Largest product of the codes of both factors in ``gates``, by layer."""


def test_products_of_rounded_maps_are_near_those_of_the_file(tmp_path: Path) -> None:
    """From the file's codes: two units, which are 1/255 of the largest product of the codes."""
    made = onnx_models.gates()
    path = write(tmp_path / "m.onnx", made)
    walk, _ = walked(path)
    network = imports.read(path).integer
    assert network
    squares = {layer.lookup.codes.tobytes() for layer in network.mac_layers if layer.lookup
               and layer.name.endswith(("sum", "difference"))}  # fmt: skip
    assert len(squares) == 3, "of a sum from 0 up, of a signed one, of a difference"
    wanted = [name for one in made.graph.node for name in one.output if name.endswith("_q")]
    for name in wanted:
        made.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session, rng, apart = ReferenceEvaluator(made), np.random.default_rng(1), []
    for _ in range(4):
        x = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
        tensors = dict(zip(wanted, session.run(wanted, {"x": x}), strict=True))
        codes = evaluator.codes_from(walk, tensors)
        for layer in network.layers[:-1]:
            assert not isinstance(layer, ConcatLayer)
            found = reference._mac_layer(layer, network.tensors, codes)
            if layer.output not in codes:
                codes[layer.output] = found
            elif layer.name in LARGEST:
                units = LARGEST[layer.name] / 255 / network.tensors[layer.output].step
                steps = np.abs(found - codes[layer.output])
                assert steps.max() <= 1 + 2 * units
                apart.append(steps.ravel() / units)
                assert np.ptp(codes[layer.output]) > 100, "the example says nothing"
    assert np.concatenate(apart).mean() < 0.5
