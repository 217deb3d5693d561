"""A network folder goes on: estimated, built, simulated bit-exact, and evaluated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("onnx", reason="no onnx")

from codesign.build import built, imported
from codesign.cli.main import main
from models.data.values import InputRange
from models.importing import folder
from models.integer import reference
from tests.models.importing import onnx_models, test_float
from tests.models.importing.onnx_models import write

NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4}\n"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A network folder, in a folder that also holds npu.yaml and data.npz."""
    path = write(tmp_path / "residual.onnx", onnx_models.residual())
    assert main(["import", str(path), "--out", str(tmp_path / "net")]) == 0
    (tmp_path / "npu.yaml").write_text(NPU)
    return tmp_path / "net"


def answer(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def examples(net: Path, count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Values of the file's input, and their answers by the codes that the folder's input gives."""
    found = folder.load(net)
    assert found.integer
    low, high = (end[0] for end in _ends(net))
    values = np.random.default_rng(0).uniform(low, high, (count, *found.input.shape))
    codes = found.input.codes(values).astype(np.uint8)
    logits = reference.run(found.integer, codes)[found.integer.output.name]
    return values, found.integer.answers(logits)


def _ends(net: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = imported.input_range(folder.load(net).input)
    return found.low, found.high


def test_a_network_folder_is_built_and_simulated_bit_exact(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    npu, out = net.parent / "npu.yaml", net.parent / "build"
    estimate = answer(capsys, "estimate", net, "--npu", npu)
    made = answer(capsys, "build", net, "--npu", npu, "--images", 2, "--out", out)
    assert made["cycles_per_image"] == estimate["cycles_per_image"]
    found = answer(capsys, "verify", out, "--images", 2)
    assert (found["passed"], found["bit_exact"], found["images"]) == (True, True, 2)
    assert found["cycles_per_image"] == made["cycles_per_image"]


@pytest.mark.parametrize("make", [onnx_models.decoder, onnx_models.bilinear, onnx_models.curves])
def test_maps_that_grow_and_activations_are_simulated_bit_exact(
    make: Callable[[], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "net.onnx", make())
    (tmp_path / "npu.yaml").write_text(NPU.replace("pixels: 1", "pixels: 2"))
    answer(capsys, "import", path, "--out", tmp_path / "net")
    options = ("--npu", tmp_path / "npu.yaml", "--images", 1, "--out", tmp_path / "build")
    made = answer(capsys, "build", tmp_path / "net", *options)
    found = answer(capsys, "verify", tmp_path / "build", "--images", 1)
    assert (found["passed"], found["bit_exact"]) == (True, True)
    assert found["cycles_per_image"] == made["cycles_per_image"]


def test_values_become_the_codes_that_the_file_says(net: Path) -> None:
    found, values = folder.load(net), examples(net, 50)[0]
    levels = built.load(net).input_range.levels(values)
    assert np.array_equal(levels, found.input.codes(values))


def test_folder_and_build_have_the_same_accuracy(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, labels = examples(net, 40)
    wrong = labels.copy()
    wrong[:10] = (wrong[:10] + 1) % 4
    data, out = net.parent / "data.npz", net.parent / "build"
    np.savez(data, x=values.astype(np.float64), y=wrong)
    npu = net.parent / "npu.yaml"
    of_folder = answer(capsys, "evaluate", net, "--dataset", data)
    of_made = answer(
        capsys, "build", net, "--npu", npu, "--dataset", data, "--images", 1, "--out", out
    )
    of_build = answer(capsys, "evaluate", out, "--dataset", data)
    assert of_folder["accuracy"]["test"]["share"] == 0.75
    assert of_made["accuracy"] == of_folder["accuracy"]
    assert of_build == of_folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["estimate", "net"], "give its NPU with --npu"),
        (["build", "net", "--out", "b"], "give its NPU with --npu"),
        (["build", "net", "--out", "b", "--npu", "npu.yaml", "--epochs", "3"], "not trained"),
        (["build", "net", "--out", "b", "--npu", "bad.yaml"], "unknown key 'lane'"),
        (["evaluate", "net"], "give --dataset"),
        (["evaluate", "net", "--dataset", "digits", "--simulate", "1"], "has no Verilog"),
        (["evaluate", "net", "--dataset", "digits"], "class 5 is not among"),
        (["estimate", "digits.yaml", "--npu", "npu.yaml"], "is for network folders alone"),
        (["predict", "floating", "some.png"], "holds a float network"),
        (["build", "net", "--out", "b", "--npu", "bits.yaml"], "has the bits of its file"),
        (["build", "net", "--out", "b", "--npu", "npu.yaml", "--finetune", "2"], "float networks"),
        (["train", "net", "--dataset", "digits"], "holds a quantised network"),
    ],
)
def test_what_cannot_go_on_is_said(
    net: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(net.parent)
    Path("bad.yaml").write_text("npu: {lane: 4}\n")
    Path("bits.yaml").write_text(NPU + "quantisation: {input_bits: 4}\n")
    write(Path("float.onnx"), test_float.residual())
    assert main(["import", "float.onnx", "--out", "floating"]) == 0
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not Path("b").exists()


def test_pictures_are_read_as_the_import_said(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the folder and from its build, and of single pictures as of a data set."""
    answer(capsys, "import", net.parent / "residual.onnx", "--out", net, "--pixel-range", -2, 1)
    found = folder.load(net)
    assert found.integer
    pixels = np.random.default_rng(3).integers(0, 256, (60, 3, 8, 8), np.uint8)
    codes = found.input.codes(pixels / 255 * 3 - 2).astype(np.uint8)
    logits = reference.run(found.integer, codes)[found.integer.output.name]
    labels = found.integer.answers(logits)
    for i, label in enumerate(labels):
        path = net.parent / "pictures" / f"{label}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i].transpose(1, 2, 0)).save(path)
    out = net.parent / "build"
    answer(capsys, "build", net, "--npu", net.parent / "npu.yaml", "--images", 1, "--out", out)
    assert imported.load(out / "design.yaml").pixels == InputRange.of(-2, 1)
    for place in (net, out):
        said = answer(capsys, "evaluate", place, "--dataset", net.parent / "pictures")
        assert said["accuracy"]["test"]["share"] == 1
        assert not any("pixels are taken" in note for note in said["notes"])
        single = net.parent / "pictures" / str(labels[0]) / "0.png"
        assert answer(capsys, "predict", place, single)[0]["class"] == labels[0]


def test_a_built_design_is_no_design_to_train(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = net.parent / "build"
    answer(capsys, "build", net, "--npu", net.parent / "npu.yaml", "--images", 1, "--out", out)
    assert isinstance(imported.load(out / "design.yaml"), imported.ImportedDesign)
    assert main(["build", str(out / "design.yaml"), "--out", "x"]) == 2
    assert "of an imported network" in capsys.readouterr().err


def test_an_npu_is_chosen_within_the_luts_given(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = net.parent / "build"
    answer(capsys, "build", net, "--lut-budget", 3500, "--images", 1, "--out", out)
    assert answer(capsys, "synth", out)["luts"] <= 3500


def test_too_few_luts_for_any_npu_are_said(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = net.parent / "build"
    assert main(["build", str(net), "--lut-budget", "100", "--out", str(out)]) == 3
    assert "has 100; raise --lut-budget" in capsys.readouterr().err
    assert not out.exists()
