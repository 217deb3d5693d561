"""Float networks of several outputs: calibrated towards their own answers, built, simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402

from codesign.build import built  # noqa: E402
from codesign.cli.main import main  # noqa: E402
from models.integer.parts import split  # noqa: E402
from tests.models.importing.onnx_models import write  # noqa: E402
from tests.models.importing.outputs.heads import Heads, heads  # noqa: E402

NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4, result_depth: 1024}\n"


def answer(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def detector(size: float, middle: float) -> Any:
    """A class of three and a box of ``size`` around ``middle``, of one trunk."""
    h = Heads(7, quantised=False)
    trunk = h.relu(h.conv(h.relu(h.conv("x", 3, 6)), 6, 6, stride=2))
    feature = h.pooled(trunk)
    h.outputs = [h.linear(feature, 6, 3), h.linear(feature, 6, 4)]
    weights, biases = (h.q.constants[f"{h.outputs[1]}_{part}"] for part in "wb")
    weights *= size
    biases += middle
    return h.model()


def data(path: Path, shape: tuple[int, ...]) -> Any:
    """Write varied examples with labels that mean nothing, and return those of the test part."""
    rng = np.random.default_rng(1)
    coarse = rng.normal(0, 1, (160, shape[0], shape[1] // 4 + 1, shape[2] // 4 + 1))
    fine = rng.normal(0, 0.4, (160, *shape))
    x = coarse.repeat(4, axis=2).repeat(4, axis=3)[:, :, : shape[1], : shape[2]] + fine
    x = np.clip(x, -3, 3).astype(np.float32)
    y = np.arange(160) % 3
    np.savez(path, x=x[:120], y=y[:120], x_test=x[120:], y_test=y[120:])
    return x[120:]


def prepared(model: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a model in a folder, which becomes current; return examples of its test part."""
    monkeypatch.chdir(place)
    write(Path("m.onnx"), model)
    assert main(["import", "m.onnx", "--out", "net"]) == 0
    Path("npu.yaml").write_text(NPU)
    shape = [side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim]
    return data(Path("data.npz"), tuple(shape[1:]))


def outputs_of(model: Any, x: Any) -> dict[str, Any]:
    run = ReferenceEvaluator(model)
    found = [run.run(None, {"x": one[None]}) for one in x]
    names = [output.name for output in model.graph.output]
    return {name: np.concatenate([one[k] for one in found]) for k, name in enumerate(names)}


BUILD = ("build", "net", "--npu", "npu.yaml", "--dataset", "data.npz", "--out", "out")


@pytest.mark.parametrize("seed", range(4))
def test_random_heads_are_near_those_of_the_file(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    model = heads(seed, quantised=False)
    x = prepared(model, tmp_path, monkeypatch)
    said = answer(capsys, *BUILD)
    wanted = outputs_of(model, x)
    found = built.load(Path("out"))
    values = found.network.real(found.logits(found.input_range.levels(x)))
    softmax = {one.output[0] for one in model.graph.node if one.op_type == "Softmax"}
    assert set(said["outputs"]) == set(wanted)
    for name, ours in split(found.network.parts, values).items():
        said_noise = said["outputs"][name]["signal_to_noise_db"]
        assert said_noise > 30, name
        if name not in softmax:  # which a host computes
            errors = wanted[name].reshape(ours.shape) - ours
            noise = 10 * np.log10(wanted[name].var() / np.square(errors).mean())
            assert noise == pytest.approx(said_noise, abs=1), name


def test_outputs_of_unlike_sizes_are_all_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    x = prepared(detector(300.0, 5000.0), tmp_path, monkeypatch)
    said = answer(capsys, *BUILD, "--weight-bits", 6)
    classes, boxes = said["outputs"].values()
    assert min(classes["signal_to_noise_db"], boxes["signal_to_noise_db"]) > 20
    assert classes["same_largest"] > 0.9
    assert any("not looked at" in note for note in said["notes"])
    assert json.loads(Path("out/reports/quantisation.json").read_text())["examples"] == len(x)
    assert main(["verify", "out", "--images", "2"]) == 0
    name = next(iter(said["outputs"]))
    told = answer(capsys, "evaluate", "out", "--dataset", "data.npz", "--output", name)
    assert told["accuracy"]["test"]["images"] == len(x)


def test_labels_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    x = prepared(detector(1.0, 0.0), tmp_path, monkeypatch)
    np.savez("data.npz", x=x)
    said = answer(capsys, *BUILD, "--task", "reconstruction")
    assert min(one["signal_to_noise_db"] for one in said["outputs"].values()) > 20


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*BUILD, "--finetune", "2"], "--finetune applies to training"),
        ([*BUILD[:4], "--out", "out"], "give --dataset"),
        (["train", "net", "--dataset", "data.npz"], "codesign build takes such a network"),
        (["explore", "--network", "net", "--dataset", "data.npz", "--lut-budget", "9000"],
         "codesign build takes such a network"),
        (["evaluate", "net", "--dataset", "data.npz"], "--output NAME"),
    ],
)  # fmt: skip
def test_what_needs_answers_is_refused(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    prepared(detector(1.0, 0.0), tmp_path, monkeypatch)
    assert main(words) == 2
    assert reason in capsys.readouterr().err
    assert not Path("out").exists()
