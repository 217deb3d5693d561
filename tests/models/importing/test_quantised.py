"""Quantised ONNX files: the same numbers in QDQ, QOperator and QONNX, and within a step of ONNX."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from models.importing import imports  # noqa: E402
from models.importing.integers import integer_network  # noqa: E402
from models.importing.readers.table import Table  # noqa: E402
from models.integer import files, reference  # noqa: E402
from models.integer.network import ConcatLayer  # noqa: E402
from tests.models.importing import evaluator, onnx_models  # noqa: E402
from tests.models.importing.onnx_models import QONNX, model, node, scalar, write  # noqa: E402
from tests.models.importing.reading import walked  # noqa: E402


def integer(path: Path) -> Any:
    found = imports.read(path)
    assert [str(row) for row in found.table.refused] == []
    assert found.integer is not None
    return found.integer


def numbers(network: Any) -> dict[str, Any]:
    return files.contents(network)


def assert_same(first: Any, second: Any) -> None:
    """Equal weights, biases, multipliers and shifts, layer by layer; names may differ."""
    ours, theirs = numbers(first), numbers(second)
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"header"}:
        assert np.array_equal(ours[key], theirs[key]), key
    for a, b in zip(first.tensors.values(), second.tensors.values(), strict=True):
        assert (a.shape, a.bits, a.zero_point) == (b.shape, b.bits, b.zero_point)


@pytest.mark.parametrize(
    "make",
    [
        onnx_models.residual,
        onnx_models.decoder,
        onnx_models.bilinear,
        onnx_models.leaky,
        onnx_models.curves,
    ],
)
def test_each_layer_is_within_a_step_of_onnx_and_seldom_not_equal(
    make: Callable[[], Any], tmp_path: Path
) -> None:
    path = write(tmp_path / "net.onnx", make())
    walk, output = walked(path)
    network = integer_network("net", walk.stages, walk.values[output].stage, Table())
    assert network is not None
    made = make()
    wanted = [n.output[0] for n in made.graph.node if n.op_type == "QuantizeLinear"]
    for name in wanted:
        made.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session, rng = ReferenceEvaluator(made), np.random.default_rng(1)
    different, count = 0, 0
    for _ in range(5):
        x = rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)
        codes = evaluator.codes_from(
            walk, dict(zip(wanted, session.run(wanted, {"x": x}), strict=True))
        )
        for layer in network.layers[:-1]:
            if isinstance(layer, ConcatLayer):
                continue
            found = reference._mac_layer(layer, network.tensors, codes)
            if layer.output not in codes:  # a copy that the file does not have
                codes[layer.output] = found
                continue
            steps = np.abs(found - codes[layer.output])
            assert steps.max() <= 1, layer.name
            assert np.ptp(codes[layer.output]) > 20, "the example says nothing"
            if layer.name.startswith("resize"):  # halfway between two codes theirs goes to even
                assert (steps > 0).mean() <= 0.15
                continue
            different, count = different + int((steps > 0).sum()), count + steps.size
    assert different <= 0.005 * count


def test_products_of_one_map_are_summed_as_one(tmp_path: Path) -> None:
    q = onnx_models.Qdq()
    x = q.rounded("x", 0.02, -3)
    q.constants |= {"two": np.float32(2), "three": np.float32(3)}
    q.nodes += [
        node("Mul", [x, "two"], ["a"], "twice"),
        node("Mul", [x, "three"], ["b"], "thrice"),
        node("Add", ["a", "b"], ["s"], "sum"),
    ]
    q.rounded("s", 0.1, 4)
    walk, output = walked(write(tmp_path / "m.onnx", model(q.nodes, q.constants, out="s_d")))
    stage = walk.stages[walk.values[output].stage]
    (kernel,) = stage.kernels
    assert kernel.codes is not None
    assert kernel.codes.ravel().tolist() == [5, 5, 5]
    assert (kernel.values == 5).all()
    assert [walk.stages[name].op for name in stage.inputs] == ["input"]


def test_the_last_tensor_holds_the_codes_of_the_files_output(tmp_path: Path) -> None:
    found = imports.read(write(tmp_path / "residual.onnx", onnx_models.residual()))
    assert found.integer
    assert found.input
    assert found.output
    assert found.output.grid
    made = onnx_models.residual()
    made.graph.output.append(onnx.helper.make_empty_tensor_value_info("g_q"))
    x = np.random.default_rng(2).normal(0, 1, (4, 3, 8, 8)).astype(np.float32)
    theirs = [ReferenceEvaluator(made).run(["g_q"], {"x": one[None]})[0][0] for one in x]
    ours = reference.run(found.integer, found.input.codes(x).astype(np.uint8))["logits"]
    zero = found.output.grid.zero_point - 128
    assert np.abs(ours + zero - np.array(theirs)).max() <= 2
    assert [row.operator for row in found.table.of("host")] == ["Softmax"]


def qdq_conv() -> Any:
    q = onnx_models.Qdq(3)
    x = q.rounded("x", 0.03, 7)
    q.nodes.append(node("Conv", [x, *q.weights("c", (4, 3, 3, 3), 0.03)], ["a"], "c"))
    q.nodes.append(node("Relu", ["a"], ["r"], "relu"))
    a = q.rounded("r", 0.2, -128)
    q.nodes.append(node("GlobalAveragePool", [a], ["p"], "pool"))
    q.rounded("p", 0.1, -128)
    return q


def test_operators_on_codes_are_the_same_network_as_qdq(tmp_path: Path) -> None:
    q = qdq_conv()
    first = integer(write(tmp_path / "qdq.onnx", model(q.nodes, q.constants, out="p_d")))
    c = q.constants
    nodes = [
        node("QuantizeLinear", ["x", "x_s", "x_z"], ["xq"]),
        node(
            "QLinearConv", ["xq", "x_s", "x_z", "c_w", "c_ws", "c_wz", "r_s", "r_z", "c_b"], ["rq"]
        ),
        node(
            "QLinearGlobalAveragePool",
            ["rq", "r_s", "r_z", "p_s", "p_z"],
            ["pq"],
            domain="com.microsoft",
        ),
        node("DequantizeLinear", ["pq", "p_s", "p_z"], ["y"]),
    ]
    assert_same(first, integer(write(tmp_path / "qop.onnx", model(nodes, c))))


def quant(x: str, y: str, scale: Any, constants: dict[str, Any], **how: Any) -> Any:
    zero, bits = how.pop("zero", 0), how.pop("bits", 8)
    constants |= {f"{y}_s": scale, f"{y}_z": scalar(zero), f"{y}_b": scalar(bits)}
    given = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **how}
    return node("Quant", [x, f"{y}_s", f"{y}_z", f"{y}_b"], [y], domain=QONNX, **given)


def test_qonnx_is_the_same_network_as_qdq(tmp_path: Path) -> None:
    q = qdq_conv()
    first = integer(write(tmp_path / "qdq.onnx", model(q.nodes, q.constants, out="p_d")))
    c, k = q.constants, {}
    k |= {"w": c["c_w"] * c["c_ws"][:, None, None, None], "b": c["c_b"] * c["c_bs"]}
    nodes = [
        quant("x", "xq", c["x_s"], k, zero=7),
        quant("w", "wq", c["c_ws"][:, None, None, None], k, narrow=1),
        quant("b", "bq", c["c_bs"], k, bits=32),
        node("Conv", ["xq", "wq", "bq"], ["a"]),
        node("Relu", ["a"], ["r"]),
        quant("r", "rq", c["r_s"], k, zero=-128),
        node("GlobalAveragePool", ["rq"], ["p"]),
        quant("p", "y", c["p_s"], k, zero=-128),
    ]
    assert_same(first, integer(write(tmp_path / "qonnx.onnx", model(nodes, k))))


def test_thresholds_of_equal_distance_are_a_scale_and_a_rounding(tmp_path: Path) -> None:
    k: dict[str, Any] = {"w": np.random.default_rng(0).integers(-1, 2, (6, 4)).astype(np.float32)}
    first, step = np.array([-2.3, 0.4, 1.2, 2.9]), np.array([1.0, 2.0, 0.5, 1.5])
    k["t"] = (first[:, None] + step[:, None] * np.arange(3)).astype(np.float32)
    nodes = [
        quant("x", "xq", scalar(1.0), k, bits=4),
        quant("w", "wq", scalar(0.125), k, bits=6),
        node("MatMul", ["xq", "wq"], ["a"]),
        node("MultiThreshold", ["a", "t"], ["y"], domain=QONNX, out_scale=1.0, out_bias=0.0),
    ]
    network = integer(write(tmp_path / "t.onnx", model(nodes, k, shape=(1, 6))))
    x = np.random.default_rng(1).integers(-8, 8, (50, 6))
    sums = x @ k["w"]
    theirs = (sums[:, :, None] >= k["t"]).sum(axis=2)
    ours = reference.run(network, (x + 8).reshape(50, 6, 1, 1).astype(np.uint8))["logits"]
    assert np.array_equal(ours, theirs)


def test_bipolar_weights_have_one_bit(tmp_path: Path) -> None:
    k: dict[str, Any] = {"w": np.random.default_rng(0).normal(0, 1, (6, 4)).astype(np.float32)}
    k["ws"] = scalar(0.5)
    nodes = [
        quant("x", "xq", scalar(1.0), k, bits=4),
        node("BipolarQuant", ["w", "ws"], ["wq"], domain=QONNX),
        node("MatMul", ["xq", "wq"], ["y"]),
    ]
    network = integer(write(tmp_path / "b.onnx", model(nodes, k, shape=(1, 6))))
    (layer,) = network.mac_layers
    assert layer.weight_bits == 1
    signs = np.where(k["w"] >= 0, 1, -1).T
    assert np.array_equal(layer.sources[0].weights.reshape(4, 6), signs)


def test_a_clip_inside_the_codes_is_kept(tmp_path: Path) -> None:
    q = onnx_models.Qdq(5)
    x = q.rounded("x", 0.05, 0)
    q.constants |= {"low": scalar(-1.0), "high": scalar(2.0)}
    q.nodes.append(node("Conv", [x, *q.weights("c", (4, 3, 8, 8), 0.05)], ["a"], "c"))
    q.nodes.append(node("Clip", ["a", "low", "high"], ["r"], "clip"))
    q.rounded("r", 0.1, 10)
    made = model(q.nodes, q.constants, out="r_q")
    network = integer(write(tmp_path / "clip.onnx", made))
    xs = np.random.default_rng(0).integers(-128, 128, (64, 3, 8, 8))
    real = (xs * 0.05).astype(np.float32)
    theirs = np.stack([ReferenceEvaluator(made).run(None, {"x": one[None]})[0][0] for one in real])
    ours = reference.run(network, (xs + 128).astype(np.uint8))["logits"] + 10
    assert {theirs.min(), theirs.max()} == {0, 30}
    assert np.abs(ours - theirs.reshape(64, 4)).max() <= 1


def test_a_file_is_read_from_bytes_alone(tmp_path: Path) -> None:
    buffer = io.BytesIO(onnx_models.residual().SerializeToString())
    path = tmp_path / "no_ending"
    path.write_bytes(buffer.getvalue())
    assert imports.read(path).source.format == "onnx"


def test_what_a_concat_joins_of_other_steps_is_rounded_before_it(tmp_path: Path) -> None:
    q = onnx_models.Qdq(9)
    x = q.rounded("x", 0.02, -3)
    for name, scale in (("a", 0.09), ("b", 0.05)):
        made = [x, *q.weights(f"c{name}", (2, 3, 1, 1), 0.02)]
        q.nodes.append(onnx_models.node("Conv", made, [name], name))
        q.rounded(name, scale)
    q.nodes.append(onnx_models.node("Concat", ["a_d", "b_d"], ["j"], "join", axis=1))
    q.rounded("j", 0.09)
    found = integer(
        write(tmp_path / "net.onnx", onnx_models.model(q.nodes, q.constants, out="j_d"))
    )
    names = [layer.name for layer in found.layers]
    assert sorted(names[:2]) == ["a", "b"]
    assert names[2:] == ["join_part2", "join", "logits"]


def test_unrounded_outputs_keep_a_scale_for_each_channel(tmp_path: Path) -> None:
    q = onnx_models.Qdq(6)
    x = q.rounded("x", 0.05, 0)
    q.nodes.append(node("Conv", [x, *q.weights("c", (4, 3, 8, 8), 0.05)], ["y"], "c"))
    made = model(q.nodes, q.constants)
    network = integer(write(tmp_path / "raw.onnx", made))
    xs = np.random.default_rng(0).integers(-128, 128, (1, 3, 8, 8))
    (theirs,) = ReferenceEvaluator(made).run(None, {"x": (xs * 0.05).astype(np.float32)})
    sums = reference.run(network, (xs + 128).astype(np.uint8))["c"]
    scale = network.tensors["c"].scale
    assert isinstance(scale, tuple)
    assert np.allclose(sums * np.array(scale), theirs.reshape(1, 4), rtol=1e-4)


def test_codes_clipped_to_fewer_bits_are_a_rounding_to_them(tmp_path: Path) -> None:
    """Four bits as QCDQ files say them: QuantizeLinear, Clip of the codes, DequantizeLinear."""
    rng = np.random.default_rng(5)
    constants = {
        "xs": scalar(0.1), "xz": np.int8(0), "low": np.int8(-8), "high": np.int8(7),
        "w": rng.normal(0, 1, (4, 3, 3, 3)).astype(np.float32), "ws": scalar(0.2),
        "least": np.int8(-7), "ys": scalar(0.19), "yz": np.uint8(0), "none": np.uint8(0),
        "most": np.uint8(15),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        node("Clip", ["xq", "low", "high"], ["xc"]),
        node("DequantizeLinear", ["xc", "xs", "xz"], ["xd"]),
        node("QuantizeLinear", ["w", "ws", "xz"], ["wq"]),
        node("Clip", ["wq", "least", "high"], ["wc"]),
        node("DequantizeLinear", ["wc", "ws", "xz"], ["wd"]),
        node("Conv", ["xd", "wd"], ["a"], "c"),
        node("Relu", ["a"], ["r"]),
        node("QuantizeLinear", ["r", "ys", "yz"], ["yq"]),
        node("Clip", ["yq", "none", "most"], ["yc"]),
        node("DequantizeLinear", ["yc", "ys", "yz"], ["y"]),
    ]
    made = model(nodes, constants)
    network = integer(write(tmp_path / "qcdq.onnx", made))
    layer = network.mac_layers[0]
    assert (network.tensors["input"].bits, network.tensors[layer.output].bits) == (4, 4)
    assert layer.weight_bits == 4
    x = rng.normal(0, 0.5, (2, 3, 8, 8)).astype(np.float32)
    theirs = np.concatenate(
        [ReferenceEvaluator(made).run(["yc"], {"x": one[None]})[0] for one in x]
    )
    codes = imports.read(tmp_path / "qcdq.onnx").input.codes(x)  # type: ignore[union-attr]
    ours = reference.run(network, codes.astype(np.uint8))[layer.output]
    assert np.ptp(theirs) == 15
    assert np.abs(ours - theirs.astype(int)).max() <= 1
    assert np.mean(ours != theirs) < 0.01


def thresholds_file(
    tmp_path: Path, table: Any, pooled: bool = False, clipped: bool = False
) -> Path:
    """Write two convolutions of 2-bit weights with a MultiThreshold of any table between them."""
    random = np.random.default_rng(3)
    k: dict[str, Any] = {
        "w": random.integers(-1, 2, (4, 2, 3, 3)).astype(np.float32),
        "v": random.integers(-1, 2, (3, 4, 1, 1)).astype(np.float32),
        "b": np.array([0.3, -1.2, 0.0, 2.7], np.float32),
        "t": np.asarray(table, np.float32),
    }
    nodes = [
        quant("x", "xq", scalar(0.5), k, bits=8, zero=0),
        quant("w", "wq", scalar(1.0), k, bits=2, narrow=1),
        quant("v", "vq", scalar(1.0), k, bits=2, narrow=1),
        node("Conv", ["xq", "wq", "b"], ["a"]),
    ]
    last = "a"
    if clipped:
        nodes.append(node("Relu", [last], ["r"]))
        last = "r"
    if pooled:
        nodes.append(node("MaxPool", [last], ["p"], kernel_shape=[2, 2], strides=[2, 2]))
        last = "p"
    nodes += [
        node("MultiThreshold", [last, "t"], ["c"], domain=QONNX, out_scale=0.25, out_bias=0.0),
        node("Conv", ["c", "vq"], ["y"]),
    ]
    return write(tmp_path / "t.onnx", model(nodes, k, shape=(1, 2, 8, 8)))


UNEVEN = [[-9.0, -1.0, 7.0], [0.5, 0.75, 40.0], [-3.25, 2.0, 2.0], [-0.25, 1.5, 1e9]]
"""Thresholds of a channel a row: equal ones, ones between sums, and one that nothing reaches."""


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("clipped", [False, True])
def test_thresholds_of_unequal_distances_stay_what_they_are(
    tmp_path: Path, pooled: bool, clipped: bool
) -> None:
    network = integer(thresholds_file(tmp_path, UNEVEN, pooled, clipped))
    assert network.mac_layers[0].thresholds is not None
    assert network.mac_layers[0].bias.any()
    codes = np.random.default_rng(1).integers(0, 256, (20, 2, 8, 8))
    first, second = network.mac_layers
    sums = reference.convolve(
        (codes - 128).astype(np.int64), first.sources[0].weights, (1, 1), 1, 256
    )
    sums = 0.5 * sums + np.array([0.3, -1.2, 0.0, 2.7])[:, None, None]
    if clipped:
        sums = np.maximum(sums, 0)
    if pooled:
        sums = sums.reshape(20, 4, 3, 2, 3, 2).max(axis=(3, 5))
    theirs = (sums[:, :, None] >= np.array(UNEVEN)[:, :, None, None]).sum(axis=2)
    ours = reference.run(network, codes.astype(np.uint8))
    assert np.array_equal(ours[first.output], theirs)
    logits = reference.convolve(theirs, second.sources[0].weights, (1, 1), 1, 4)
    assert np.array_equal(ours[network.output.name], logits.reshape(20, -1))


def test_thresholds_that_fall_are_refused(tmp_path: Path) -> None:
    (refused,) = imports.read(thresholds_file(tmp_path, np.array(UNEVEN)[:, ::-1])).table.refused
    assert "thresholds that fall" in refused.reason


@pytest.mark.parametrize("table", [[[float("nan")]], [[0.0, 1.0, float("inf")]]])
def test_thresholds_that_are_not_finite_are_refused(tmp_path: Path, table: Any) -> None:
    (refused,) = imports.read(thresholds_file(tmp_path, table)).table.refused
    assert "not finite" in refused.reason


def test_thresholds_of_pooled_sums_that_another_node_reads_are_refused(tmp_path: Path) -> None:
    """The sums are not rounded where the other node reads them, so nothing is computed of them."""
    random = np.random.default_rng(3)
    k: dict[str, Any] = {
        "w": random.integers(-1, 2, (4, 2, 3, 3)).astype(np.float32),
        "t": np.asarray(UNEVEN, np.float32),
    }
    nodes = [
        quant("x", "xq", scalar(0.5), k, bits=8, zero=0),
        quant("w", "wq", scalar(1.0), k, bits=2, narrow=1),
        node("Conv", ["xq", "wq"], ["a"]),
        node("GlobalAveragePool", ["a"], ["other"]),
        node("MaxPool", ["a"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        node("MultiThreshold", ["p", "t"], ["c"], domain=QONNX, out_scale=0.25, out_bias=0.0),
        node("GlobalAveragePool", ["c"], ["mean"]),
        node("Add", ["mean", "other"], ["y"]),
    ]
    assert imports.read(
        write(tmp_path / "t.onnx", model(nodes, k, shape=(1, 2, 8, 8)))
    ).table.refused


def test_a_table_for_all_channels_is_each_channels(tmp_path: Path) -> None:
    network = integer(thresholds_file(tmp_path, [UNEVEN[1]]))
    found = network.mac_layers[0].thresholds
    assert found is not None
    assert found.shape == (4, 3)
