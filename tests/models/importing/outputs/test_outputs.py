"""Networks of several outputs: each is what ONNX Runtime, and an import of it alone, give."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")
runtime = pytest.importorskip("onnxruntime", reason="no onnxruntime")
import torch  # noqa: E402

from models.calibration import loading  # noqa: E402
from models.errors import ModelError  # noqa: E402
from models.exporting import export  # noqa: E402
from models.importing import folder, imports  # noqa: E402
from models.integer import reference  # noqa: E402
from models.integer.network import ConcatLayer  # noqa: E402
from models.integer.parts import split  # noqa: E402
from models.quantisation.plan import Quantisation  # noqa: E402
from tests.models.importing.onnx_models import QONNX, model, node, scalar, write  # noqa: E402
from tests.models.importing.outputs.heads import heads  # noqa: E402

SEEDS = range(40)


def theirs(content: bytes, x: Any, names: list[str]) -> dict[str, Any]:
    options = runtime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(content, options)
    each = [session.run(names, {"x": one[None]}) for one in x]
    return {n: np.concatenate([found[i] for found in each]) for i, n in enumerate(names)}


def ours(found: Any, x: Any) -> dict[str, Any]:
    """The outputs of an integer network as real values by name, for values of the file's input."""
    network = found.integer
    codes = found.input.codes(x).astype(np.uint8)
    values = network.real(reference.run(network, codes)[network.output.name])
    if network.parts:
        return split(network.parts, values)
    (end,) = found.outputs
    return split([end.part], values)


def read(path: Path) -> Any:
    found: Any = imports.read(path)
    assert [str(row) for row in found.table.refused] == []
    return found


def without_softmax(made: Any) -> Any:
    """The model with the tensors that the NPU gives as outputs."""
    for each in made.graph.node:
        if each.op_type == "Softmax":
            (output,) = (one for one in made.graph.output if one.name == each.output[0])
            output.name = each.input[0]
    return made


def images(seed: int, count: int = 4) -> Any:
    return np.random.default_rng(seed).normal(0, 1, (count, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_float_network_has_the_outputs_of_onnx_runtime(seed: int, tmp_path: Path) -> None:
    made, x = heads(seed, quantised=False), images(seed)
    found = read(write(tmp_path / "net.onnx", made))
    folder.save(found, tmp_path / "net")
    found = folder.load(tmp_path / "net")
    assert found.floating
    assert [end.file_output for end in found.outputs] == [one.name for one in made.graph.output]
    network = loading.load(found.floating, Quantisation())
    last = network.tensors_from(torch.from_numpy(x))[network.output_name].flatten(1)
    wanted = theirs(without_softmax(made).SerializeToString(), x,
                    [end.name for end in found.outputs])  # fmt: skip
    for end in found.outputs:
        flat = wanted[end.name].reshape(len(x), -1)
        assert end.file_shape[1:] == wanted[end.name].shape[1:]
        values = last if end.order is None else last[:, torch.from_numpy(end.order)]
        assert np.allclose(values.detach().numpy(), flat, atol=1e-4 * np.abs(flat).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_quantised_network_has_the_outputs_of_each_alone(seed: int, tmp_path: Path) -> None:
    """Bit for bit; and near those of ONNX Runtime, whose steps add up over three layers."""
    made, x = heads(seed, quantised=True), images(seed)
    path = write(tmp_path / "net.onnx", made)
    found = read(path)
    folder.save(found, tmp_path / "net")
    again = folder.load(tmp_path / "net")
    assert again.integer
    assert again.integer.parts == found.integer.parts == tuple(end.part for end in found.outputs)
    together = ours(again, x)
    names = [one.name for one in made.graph.output]
    assert list(together) == names
    tensors = {end.file_output: end.name for end in found.outputs}
    wanted = theirs(without_softmax(made).SerializeToString(), x, list(tensors.values()))
    for end in found.outputs:
        single = heads(seed, quantised=True)
        for output in [one for one in single.graph.output if one.name != end.file_output]:
            single.graph.output.remove(output)
        alone = ours(read(write(tmp_path / "one.onnx", single)), x)[end.file_output]
        found_here, there = together[end.file_output], wanted[end.name]
        assert np.array_equal(found_here, alone), end
        assert found_here.shape == there.shape
        apart = np.abs(found_here - there)
        assert apart.mean() <= 0.03 * np.ptp(there), end


def test_the_random_networks_say_something() -> None:
    """Layers are shared, copied, joined and enlarged among them."""
    kinds: Counter[str] = Counter()
    for seed in SEEDS:
        graph = heads(seed, quantised=True).graph
        kinds.update({one.op_type for one in graph.node})
        kinds[f"{len(graph.output)} outputs"] += 1
    assert min(kinds["2 outputs"], kinds["3 outputs"], kinds["Softmax"]) >= 5


def test_exports_have_the_outputs_by_name(tmp_path: Path) -> None:
    """With the values of the reference, bit for bit; read back the same, or refused."""
    back = 0
    for seed in SEEDS:
        found = read(write(tmp_path / "net.onnx", heads(seed, quantised=True)))
        network, names = found.integer, [end.file_output for end in found.outputs]
        content = export.onnx_bytes(network, "onnx")
        spec = network.tensors[network.input]
        codes = np.random.default_rng(seed).integers(0, 256, (3, *spec.shape)).astype(np.uint8)
        x = ((codes.astype(np.float64) - spec.zero_point) * spec.step).astype(np.float32)
        values = network.real(reference.run(network, codes)[network.output.name])
        wanted, given = split(network.parts, values), theirs(content, x, names)
        for name in names:
            assert np.array_equal(given[name], wanted[name].astype(np.float32)), name
        (tmp_path / "back.onnx").write_bytes(content)
        again = imports.read(tmp_path / "back.onnx")
        if again.table.refused:
            assert "another scale or zero point" in str(again.table.refused[0])
            continue
        back += 1
        for name, value in ours(again, x).items():
            assert np.allclose(value, wanted[name], rtol=1e-6, atol=1e-9)
    assert back >= 5


def test_real_values_do_not_say_codes_of_several_scales_side_by_side(tmp_path: Path) -> None:
    said: Counter[str] = Counter()
    for seed in SEEDS:
        network = read(write(tmp_path / "net.onnx", heads(seed, quantised=True))).integer
        joined = [one for one in network.layers if isinstance(one, ConcatLayer)]
        specs = [network.tensors[name] for one in joined for name in (*one.inputs, one.output)]
        several = len({(spec.step, spec.zero_point) for spec in specs}) > 1
        said[str(several)] += 1
        if several:
            with pytest.raises(ModelError, match="joins codes of several scales"):
                export.onnx_bytes(network, "qonnx")
        else:
            export.onnx_bytes(network, "qonnx")
    assert min(said["True"], said["False"]) >= 5


def test_codes_of_few_and_of_many_bits_are_outputs_side_by_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    constants: dict[str, Any] = {
        "s8": scalar(0.05), "s4": scalar(0.5), "ws": scalar(0.02), "z": scalar(0),
        "b8": scalar(8), "b4": scalar(4), "w": rng.normal(0, 0.5, (4, 3, 3, 3)).astype("f4"),
        "v": rng.normal(0, 0.5, (3, 4, 1, 1)).astype("f4"),
        "u": rng.normal(0, 0.5, (2, 4, 1, 1)).astype("f4"),
    }  # fmt: skip

    def quant(source: str, scale: str, bits: str, out: str, signed: int = 1) -> Any:
        return node("Quant", [source, scale, "z", bits], [out], out, domain=QONNX, signed=signed,
                    narrow=0, rounding_mode="ROUND")  # fmt: skip

    nodes = [
        quant("x", "s8", "b8", "xq"), quant("w", "ws", "b8", "wq"),
        node("Conv", ["xq", "wq"], ["a"], "a"), quant("a", "s8", "b8", "aq"),
        quant("v", "ws", "b8", "vq"), node("Conv", ["aq", "vq"], ["m"], "m"),
        quant("m", "s4", "b4", "few"), quant("u", "ws", "b8", "uq"),
        node("Conv", ["aq", "uq"], ["n"], "n"), quant("n", "s8", "b8", "many", 0),
    ]  # fmt: skip
    made = model(nodes, constants, out="few")
    made.graph.output.add().name = "many"
    found, x = read(write(tmp_path / "net.onnx", made)), images(0)
    together = ours(found, x)
    for name in ("few", "many"):
        alone = read(write(tmp_path / "one.onnx", model(nodes, constants, out=name)))
        assert np.array_equal(together[name], ours(alone, x)[name])
        assert np.ptp(together[name]) > 5
