"""Networks of several outputs go on: simulated bit-exact, evaluated by one of them, driven."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.build import built
from codesign.cli.main import main
from models.importing import folder
from models.integer import files
from models.integer.parts import split
from sim import driver
from sim.folder import read_loadable
from tests.codesign.build.test_imported import NPU, answer
from tests.models.importing.onnx_models import node, write
from tests.models.importing.outputs.heads import Heads


def network(*, quantised: bool = True) -> Any:
    """A classifier, boxes of the same features, and a map of the trunk, which is an output, too."""
    h = Heads(5, quantised=quantised)
    trunk = h.relu(h.conv(h.rounded("x", -3.0, 3.2), 3, 4, stride=2))
    feature = h.pooled(trunk)
    classes = h.end(h.linear(feature, 4, 5), rounded=True)
    h.q.nodes.append(node("Softmax", [classes], ["scores"], "soft"))
    h.outputs[0] = "scores"
    h.end(h.linear(feature, 4, 4), rounded=False)
    h.end(h.conv(trunk, 4, 2), rounded=True)
    h.outputs.append(trunk)
    return h.model()


NAMES = ["scores", "linear6", "conv7_d", "relu2_d"]


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = write(tmp_path / "net.onnx", network())
    assert main(["import", str(path), "--out", str(tmp_path / "net")]) == 0
    (tmp_path / "npu.yaml").write_text(NPU)
    return tmp_path / "net"


def values(net: Path, count: int) -> tuple[Any, dict[str, Any]]:
    """Values of the file's input, and every output of them by name, as real values."""
    found = built.load(net)
    x = np.random.default_rng(0).uniform(-3, 3.1, (count, 3, 8, 8))
    given = found.network.real(found.logits(found.input_range.levels(x)))
    return x, split(found.network.parts, given)


def data(net: Path, x: Any, labels: Any) -> Path:
    path = net.parent / "data.npz"
    np.savez(path, x=x, y=labels)
    return path


def test_all_outputs_are_simulated_bit_exact(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    npu, out = net.parent / "npu.yaml", net.parent / "build"
    estimate = answer(capsys, "estimate", net, "--npu", npu)
    made = answer(capsys, "build", net, "--npu", npu, "--images", 2, "--out", out)
    assert made["cycles_per_image"] == estimate["cycles_per_image"]
    found = answer(capsys, "verify", out, "--images", 2)
    assert (found["passed"], found["bit_exact"]) == (True, True)
    x, given = values(net, 6)
    labels = given["scores"].argmax(axis=1)
    said = answer(capsys, "evaluate", out, "--dataset", data(net, x, labels),
                  "--output", "scores", "--simulate", 2)  # fmt: skip
    assert said["simulated"]["bit_exact"]
    assert said["accuracy"]["test"]["share"] == 1


def test_import_says_the_outputs(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(capsys, "import", net.parent / "net.onnx", "--out", net)
    assert [one["name"] for one in said["outputs"]] == NAMES
    assert said["outputs"][0] == {"name": "scores", "tensor": "linear5_d", "shape": [1, 5]}
    assert said["outputs"][3]["shape"] == [1, 4, 4, 4]
    assert main(["import", str(net.parent / "net.onnx"), "--out", str(net)]) == 0
    assert "output scores: tensor linear5_d of 1 x 5" in capsys.readouterr().out


def test_predict_gives_every_output_by_its_name(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, given = values(net, 3)
    np.save(net.parent / "x.npy", x)
    for index, said in enumerate(answer(capsys, "predict", net, net.parent / "x.npy")):
        assert list(said["outputs"]) == NAMES
        for name, value in said["outputs"].items():
            assert np.array_equal(np.array(value), given[name][index])
    (first, *_) = answer(capsys, "predict", net, net.parent / "x.npy", "--output", "scores")
    assert first["class"] == given["scores"][0].argmax()
    assert main(["predict", str(net), str(net.parent / "x.npy")]) == 0
    assert "x.npy[2]: conv7_d" in capsys.readouterr().out


@pytest.mark.parametrize("quantised", [True, False])
def test_one_output_is_evaluated_by_its_name(
    quantised: bool, net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if quantised:
        x, given = values(net, 40)
        labels = given["linear6"].argmax(axis=1)
    else:
        import onnxruntime

        made = network(quantised=False)
        write(net.parent / "float.onnx", made)
        answer(capsys, "import", net.parent / "float.onnx", "--out", net.parent / "float")
        session = onnxruntime.InferenceSession(made.SerializeToString())
        x = np.random.default_rng(0).uniform(-3, 3.1, (40, 3, 8, 8))
        each = [session.run(["linear6"], {"x": one[None].astype(np.float32)})[0] for one in x]
        labels, net = np.concatenate(each).argmax(axis=1), net.parent / "float"
    labels[:10] = (labels[:10] + 1) % 4
    path = data(net, x, labels)
    said = answer(capsys, "evaluate", net, "--dataset", path, "--output", "linear6")
    assert said["accuracy"]["test"]["share"] == 0.75


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "net", "--dataset", "data.npz"], "several outputs ('scores', 'linear6'"),
        (["evaluate", "net", "--dataset", "data.npz", "--output", "x"], "no output 'x' to choose"),
        (["evaluate", "net", "--dataset", "data.npz", "--output", "conv7_d"], "is a map of 1 x 2"),
        (["evaluate", "net", "--dataset", "wide.npz", "--output", "linear6"], "class 4 is not"),
        (["build", "net", "--npu", "npu.yaml", "--dataset", "data.npz", "--out", "b"],
         "has several outputs"),
        (["evaluate", "float", "--dataset", "data.npz"], "several outputs ('scores', 'linear6'"),
        (["train", "float", "--dataset", "data.npz"], "has several outputs"),
        (["explore", "--network", "float", "--dataset", "data.npz", "--lut-budget", "9000",
          "--out", "b"], "has several outputs"),
    ],
)  # fmt: skip
def test_what_takes_one_class_for_an_image_refuses_several_outputs(
    net: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(net.parent)
    write(Path("float.onnx"), network(quantised=False))
    assert main(["import", "float.onnx", "--out", "float"]) == 0
    x = np.random.default_rng(0).uniform(-3, 3, (200, 3, 8, 8))
    data(net, x, np.arange(200) % 4)
    np.savez("wide.npz", x=x, y=np.arange(200) % 5)
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not (Path("b") / "program.json").exists()


def test_a_float_network_is_estimated(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(net.parent / "float.onnx", network(quantised=False))
    answer(capsys, "import", net.parent / "float.onnx", "--out", net.parent / "float")
    said = answer(capsys, "estimate", net.parent / "float", "--npu", net.parent / "npu.yaml")
    assert said["cycles_per_image"] > 0
    assert len(folder.load(net.parent / "float").outputs) == 4


def test_the_driver_gives_every_output_by_its_name(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no class, as values of different outputs are not to be compared."""
    out = net.parent / "build"
    answer(capsys, "build", net, "--npu", net.parent / "npu.yaml", "--images", 1, "--out", out)
    stored = files.load(out / "network.npz")
    assert [part.name for part in stored.parts] == NAMES
    layout = read_loadable(out).output
    _, given = values(net, 3)
    found = built.load(net)
    logits = found.logits(found.input_range.levels(values(net, 3)[0])).astype(np.int32)
    made = driver.Prediction.of(layout, logits, ["0"] * found.network.classes)
    assert (made.classes.size, made.names) == (0, [])
    for name, value in made.outputs.items():
        assert np.allclose(value, given[name])
