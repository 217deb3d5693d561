"""A float network folder goes on: evaluated, calibrated, trained on, built and simulated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

onnx = pytest.importorskip("onnx", reason="no onnx")
from onnx import numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from codesign import design as designs  # noqa: E402
from codesign.build import built  # noqa: E402
from codesign.cli.main import main  # noqa: E402
from models.data.values import InputRange  # noqa: E402
from models.training.trained import TrainedNetwork  # noqa: E402
from tests.models.importing import test_float  # noqa: E402
from tests.models.importing.onnx_models import write  # noqa: E402

NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4}\n"
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])
Folder = Path


def outputs(model: Any, values: Any) -> Any:
    """Return the model's probabilities (n, 5) for values (n, 3, 8, 8)."""
    run = ReferenceEvaluator(model)
    return np.array([run.run(None, {"x": one[None]})[0].ravel() for one in values])


def labelled(model: Any, values: Any) -> Any:
    return outputs(model, values).argmax(axis=1)


def balanced() -> Any:
    """Return a residual float model that answers each of its classes about equally often."""
    model = test_float.residual()
    logits = np.log(outputs(model, varied(200, 0)))
    logits -= logits.mean(axis=1, keepdims=True)
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant).astype(np.float64)
        if constant.name == "w4":
            values = (values - values.mean(axis=0)) / logits.std(axis=0)[:, None]
        elif constant.name == "b4":
            values = (values - values.mean() - logits.mean(axis=0)) / logits.std(axis=0)
        constant.CopyFrom(numpy_helper.from_array(values.astype(np.float32), constant.name))
    return model


def varied(count: int, seed: int) -> Any:
    """Values of one image, of which some channels and quarters stand out."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 1, (count, 3, 2, 2)).repeat(4, axis=2).repeat(4, axis=3)
    return (coarse + rng.normal(0, 0.3, (count, 3, 8, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network folder, its NPU, and data that its float network answers rightly."""
    place = tmp_path_factory.mktemp("floating")
    model = balanced()
    write(place / "m.onnx", model)
    assert main(["import", str(place / "m.onnx"), "--out", str(place / "net")]) == 0
    parts = {"x": varied(400, 1), "x_test": varied(150, 2)}
    labels = {f"y{name[1:]}": labelled(model, values) for name, values in parts.items()}
    np.savez(place / "data.npz", **parts, **labels)
    (place / "npu.yaml").write_text(NPU)
    return place


@pytest.fixture
def at(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The same, current; what a test writes goes to another folder, which is returned."""
    monkeypatch.chdir(place)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_the_float_network_is_evaluated_unrounded(at: Path, capsys: Any) -> None:
    found = answer(capsys, "evaluate", "net", "--dataset", "data.npz")
    assert found["accuracy"]["test"]["share"] == 1
    assert found["accuracy"]["test"]["images"] == 150
    assert "the network is in floating point" in found["notes"]


def test_pictures_are_read_as_the_import_said_where_arrays_were_built_on(at: Path) -> None:
    """The file takes 0..1: the build on arrays of such numbers makes pixels 0..255 of them."""
    assert main(["import", "m.onnx", "--out", str(at / "net"), "--pixel-range", "0", "1"]) == 0
    words = ["--dataset", "data.npz", "--npu", "npu.yaml", "--out", str(at / "build")]
    assert main(["build", str(at / "net"), *words]) == 0
    found = built.load(at / "build")
    values = np.zeros((1, 3, 8, 8))
    arrays, _ = found.mapping(values, pictures=False)
    pictures, _ = found.mapping(values, pictures=True)
    assert np.allclose(pictures.high, 255 * np.array(arrays.high))
    design = designs.load(at / "build" / "design.yaml")
    assert (design.pixels, design.input) == (InputRange.of(0.0, 1.0), arrays)
    assert designs.loads(design.to_yaml()) == design


def test_training_gives_an_ordinary_design_with_accuracy_before_and_after(
    at: Path, capsys: Any
) -> None:
    out = at / "net.weights"
    found = answer(capsys, "train", "net", "--dataset", "data.npz", "--out", out)
    stages = found["stages"]
    assert list(stages) == ["float", "calibrated"]
    assert found["accuracy"] == stages["calibrated"]
    assert stages["float"]["test"]["share"] >= 0.98
    assert stages["calibrated"]["test"]["share"] >= 0.95
    assert any("calibrated on 341 training images" in note for note in found["notes"])
    assert json.loads(out.with_suffix(".json").read_text())["calibration"]["images"] == 341
    design = designs.load(out.with_suffix(".yaml"))
    assert design.quantisation.default.weight_bits == 8
    assert design.quantisation.input_zero_point > 0  # its first layer is padded
    assert TrainedNetwork.load(out).quantisation == design.quantisation
    build = at / "build"
    words = ("build", out.with_suffix(".yaml"), "--weights", out, "--images", 2, "--out", build)
    built = answer(capsys, *words)
    assert built["accuracy"] == found["accuracy"]
    assert answer(capsys, "verify", build, "--images", 2)["bit_exact"]
    again = answer(capsys, "evaluate", build)
    assert again["accuracy"]["test"] == found["accuracy"]["test"]


def test_a_design_of_ones_own_is_not_overwritten(at: Path, capsys: Any) -> None:
    words = ("train", "net", "--dataset", "data.npz", "--out", at / "net.weights")
    answer(capsys, *words)
    answer(capsys, *words, "--weight-bits", 5)  # again: what it wrote itself
    with (at / "net.yaml").open("a") as file:
        file.write("# mine\n")
    before = {path.name: path.read_bytes() for path in at.iterdir()}
    assert main([*map(str, words)]) == 2
    assert "is not as codesign train wrote it" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in at.iterdir()} == before
    assert main([*map(str, words[:-1]), str(at / "new.json")]) == 2
    assert "ends of the files beside it" in capsys.readouterr().err


def test_bits_are_mixed_and_training_goes_on(at: Path, capsys: Any) -> None:
    words = ("train", "net", "--dataset", "data.npz", "--weight-bits", "2..4")
    more = ("--average-weight-bits", 3, "--activation-bits", 6, "--finetune", 4)
    found = answer(capsys, *words, *more, "--out", at / "w.weights")
    assert found["average_weight_bits"] <= 3
    stages = found["stages"]
    assert list(stages) == ["float", "calibrated", "finetuned"]
    best = max(
        stages["calibrated"]["validation"]["share"], stages["finetuned"]["validation"]["share"]
    )
    assert found["accuracy"]["validation"]["share"] == best
    quantisation = designs.load(at / "w.yaml").quantisation
    assert {spec.weight_bits for spec in quantisation.layers.values()} <= {2, 3, 4}
    assert {spec.activation_bits for spec in quantisation.layers.values()} == {6}
    assert not list(at.glob("*.checkpoint"))


def test_training_on_keeps_to_narrow_accumulators(at: Path, capsys: Any) -> None:
    def words(bits: int) -> tuple[object, ...]:
        bits_of = "input_bits: 4, default: {weight_bits: 4, activation_bits: 4}"
        npu = NPU.replace("pixels: 1", f"pixels: 1, accumulator_bits: {bits}")
        (at / f"{bits}.yaml").write_text(npu + f"quantisation: {{{bits_of}}}\n")
        start = ("build", "net", "--npu", at / f"{bits}.yaml", "--dataset", "data.npz")
        return (*start, "--images", 2, "--finetune", 2, "--out", at / f"b{bits}")

    answer(capsys, *words(13))
    assert designs.load(at / "b13" / "design.yaml").npu.accumulator_bits == 13
    assert main([*map(str, words(12))]) == 3  # a sum of 4-bit maps takes 13 bits
    assert "needs 13 bits of accumulator_bits, has 12" in capsys.readouterr().err


def test_a_folder_is_estimated_and_built_on_an_npu(at: Path, capsys: Any) -> None:
    Path("bits.yaml").write_text(
        NPU + "quantisation: {input_bits: 6, default: {weight_bits: 5, activation_bits: 7}}\n"
    )
    estimate = answer(capsys, "estimate", "net", "--npu", "bits.yaml")
    words = ("build", "net", "--npu", "bits.yaml", "--dataset", "data.npz", "--images", 2)
    built = answer(capsys, *words, "--out", at / "build")
    assert built["cycles_per_image"] <= estimate["cycles_per_image"]
    assert built["stages"]["calibrated"] == built["accuracy"]
    design = designs.load(at / "build" / "design.yaml")
    assert design.quantisation.input_bits == 6
    assert design.quantisation.default.weight_bits == 5
    assert answer(capsys, "verify", at / "build", "--images", 2)["bit_exact"]
    report = json.loads((at / "build" / "reports" / "quantisation.json").read_text())
    assert report["calibration"]["images"] == 341


def test_an_npu_is_chosen_within_the_luts_given(at: Path, capsys: Any) -> None:
    words = ("build", "net", "--lut-budget", 4000, "--dataset", "data.npz", "--images", 1)
    answer(capsys, *words, "--out", at / "build")
    assert answer(capsys, "synth", at / "build")["luts"] <= 4000


def pictures(model: Any, folder: Path) -> None:
    """Write pictures into folders of the classes that the model answers once normalised."""
    for part, count, seed in (("train", 120, 3), ("test", 60, 4)):
        values = np.clip(varied(count, seed) * STD[:, None, None] + MEAN[:, None, None], 0, 1)
        pixels = np.floor(values * 255 + 0.5).astype(np.uint8)
        real = (pixels / 255 - MEAN[:, None, None]) / STD[:, None, None]
        for i, label in enumerate(labelled(model, real.astype(np.float32))):
            path = folder / part / str(label) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[i].transpose(1, 2, 0)).save(path)


def test_pixels_are_the_values_that_the_import_says(at: Path, capsys: Any) -> None:
    pictures(onnx.load("m.onnx"), at / "pictures")
    words = ("import", "m.onnx", "--out", at / "net")
    said = ["--pixel-mean", ",".join(map(str, MEAN)), "--pixel-std", ",".join(map(str, STD))]
    answer(capsys, *words, *said)
    found = answer(capsys, "evaluate", at / "net", "--dataset", at / "pictures")
    assert found["accuracy"]["test"]["share"] == 1
    assert not any("pixels are taken" in note for note in found["notes"])
    trained = answer(
        capsys, "train", at / "net", "--dataset", at / "pictures", "--out", at / "n.weights"
    )
    assert trained["accuracy"]["test"]["share"] >= 0.93
    design = designs.load(at / "n.yaml")
    assert design.input
    assert max(design.input.low) <= 0
    assert min(design.input.high) >= 255
    answer(capsys, *words)
    found = answer(capsys, "evaluate", at / "net", "--dataset", at / "pictures")
    assert any("pixels are taken as the values 0..255" in note for note in found["notes"])
    assert found["accuracy"]["test"]["share"] < 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "net"], "give --dataset"),
        (["train", "net", "--dataset", "data.npz", "--epochs", "3"], "--finetune trains"),
        (["train", "net", "--dataset", "digits"], r"does not match the images of digits"),
        (["train", "net", "--dataset", "data.npz", "--weight-bits", "4..8"], "go together"),
        (["train", "net", "--dataset", "data.npz", "--weight-bits", "9"], "1 to 8, or a range"),
        (["train", "net", "--dataset", "few.npz"], "images are too few to calibrate"),
        (["train", "net", "--dataset", "nan.npz"], "NaN"),
        (["train", "net", "--dataset", "data.npz", "--npu", "bad.yaml"], "unknown key 'lane'"),
        (["train", "digits.yaml", "--dataset", "data.npz"], "for network folders alone"),
        (["build", "net", "--out", "b", "--dataset", "data.npz"], "give its NPU with --npu"),
        (["build", "net", "--out", "b", "--npu", "npu.yaml"], "give --dataset"),
        (["build", "net", "--out", "b", "--npu", "npu.yaml", "--boo", "2"], "--finetune trains"),
        (["estimate", "net"], "give its NPU with --npu"),
        (["evaluate", "net"], "give --dataset"),
        (["evaluate", "net", "--dataset", "data.npz", "--simulate", "1"], "has no Verilog"),
        (["import", "m.onnx", "--out", "x", "--pixel-mean", "1"], "go together"),
        (["import", "m.onnx", "--out", "x", "--pixel-mean", "1", "--pixel-std", "0"], "above 0"),
        (["import", "m.onnx", "--out", "x", "--pixel-range", "1", "0"], "low must be less"),
    ],
)
def test_what_cannot_go_on_is_said(
    at: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("bad.yaml").write_text("npu: {lane: 4}\n")
    Path("digits.yaml").write_text("name: x\n")
    data = dict(np.load("data.npz"))
    np.savez(
        "few.npz",
        x=data["x"][:15],
        y=np.arange(15) % 5,
        x_test=data["x_test"],
        y_test=data["y_test"],
    )
    np.savez("nan.npz", **{**data, "x": data["x"] * np.nan})
    try:
        status = main(words)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert said in capsys.readouterr().err
    assert not Path("b").exists()
