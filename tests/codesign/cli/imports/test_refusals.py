"""What commands do not do with an imported network: said before any work, with exit status 2."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="no onnx")

from codesign.cli.main import main
from tests.models.importing import onnx_models
from tests.models.importing.onnx_models import model, node, write

NPU = "npu: {pixels: 1, lanes: 4, columns: 4, weight_digit_bits: 8, post_units: 1}\n"
FOREIGN = Path(os.environ.get("CODESIGN_FOREIGN_MODELS", "/nonexistent"))
UINT8 = FOREIGN / "mobilenet_v1_025_uint8.tflite"
DATA, SEARCH = ["--dataset", "data.npz"], ["--lut-budget", "5000", "--out", "out"]


def convolved(*behind: object) -> object:
    """A model of a convolution to ``a`` (4, 8, 8) and the nodes behind it."""
    rng = np.random.default_rng(0)
    shapes = {"w": (4, 3, 3, 3), "v": (4, 4)}
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return model([node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4), *behind], weights)


def classes(of: str) -> list[object]:
    return [
        node("GlobalAveragePool", [of], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flat"),
        node("Gemm", ["f", "v"], ["y"], "classes"),
    ]


MODELS = {
    "sigmoid": lambda: convolved(node("Sigmoid", ["a"], ["s"], "curve"), *classes("s")),
    "silu": lambda: convolved(
        node("Sigmoid", ["a"], ["s"], "gate"), node("Mul", ["a", "s"], ["m"], "curve"),
        *classes("m"),
    ),
    "map": lambda: convolved(node("Relu", ["a"], ["y"], "relu")),
    "integer_map": onnx_models.decoder,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network folder of each of MODELS, an NPU and data of four classes."""
    folder, rng = tmp_path_factory.mktemp("refused"), np.random.default_rng(1)
    for name, make in MODELS.items():
        file = write(folder / f"{name}.onnx", make())  # type: ignore[no-untyped-call]
        assert main(["import", str(file), "--out", str(folder / name)]) == 0
    np.savez(folder / "data.npz", x=rng.normal(0, 1, (90, 3, 8, 8)), y=np.arange(90) % 4)
    (folder / "npu.yaml").write_text(NPU)
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["explore", "--network", "sigmoid", *DATA, *SEARCH], "layer curve looks its codes up"),
        (["explore", "--network", "silu", *DATA, *SEARCH], "layer gate looks its codes up"),
        (["explore", "--network", "map", *DATA, *SEARCH], "must be 1x1, not 8x8"),
        (["explore", "--network", "integer_map", *DATA, *SEARCH], "holds a quantised network"),
        (["train", "map", *DATA, "--out", "out.weights"], "must be 1x1, not 8x8"),
        (["build", "map", "--npu", "npu.yaml", *DATA, "--out", "out"], "must be 1x1, not 8x8"),
        (["build", "map", "--npu", "npu.yaml", "--out", "out"], "give --dataset"),
        (["build", "integer_map", "--npu", "npu.yaml", *DATA, "--out", "out"], "is a map of"),
        (["evaluate", "map", *DATA], "is a map of 4 x 8 x 8"),
        (["evaluate", "integer_map", *DATA], "is a map of"),
        (["predict", "integer_map", "data.npz"], "is a map of"),
        (["export", "sigmoid", "--format", "onnx", "--out", "out"], "holds a float network"),
    ],
)
def test_networks_that_a_command_cannot_take_are_refused(
    place: Path,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("name", ["sigmoid", "silu"])
def test_builds_with_activation_tables_are_not_exported(
    place: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    build = f"build_{name}"
    words = ["build", name, "--npu", "npu.yaml", *DATA, "--images", "1", "--out", build]
    assert main(words) == 0
    for kind in ("onnx", "qonnx"):
        assert main(["export", build, "--format", kind, "--out", "out.onnx"]) == 2
        assert "layer conv: looks codes up in a table" in capsys.readouterr().err
    assert not Path("out.onnx").exists()


def test_a_map_is_built_with_random_vectors(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    words = ["build", "integer_map", "--npu", "npu.yaml", "--images", "1", "--out", "build_map"]
    assert main(words) == 0
    assert main(["predict", "build_map", "data.npz"]) == 2
    assert main(["evaluate", "build_map", *DATA]) == 2


def test_dynamic_shapes_and_uint8_weights_end_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "m.onnx", tmp_path / "net"
    weights = {"w": np.ones((4, 3, 3, 3), np.float32)}
    write(file, model([node("Conv", ["x", "w"], ["y"])], weights, shape=(1, 3, "rows", "columns")))
    assert main(["import", str(file), "--out", str(out)]) == 2
    assert "fixed input size" in capsys.readouterr().err
    if UINT8.exists():
        assert main(["import", str(UINT8), "--out", str(out)]) == 2
        shown = capsys.readouterr()
        assert "28 nodes cannot be mapped" in shown.err
        assert "zero_point" in shown.out
    assert not out.exists()


def test_a_folder_of_other_things_is_refused_before_the_file_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert main(["import", "nowhere.onnx", "--out", str(home)]) == 2
    assert "nowhere.onnx" in capsys.readouterr().err
    (home / "thesis.tex").write_text("years of work")
    assert main(["import", "nowhere.onnx", "--out", str(home)]) == 2
    assert "holds 'thesis.tex', but is no network folder" in capsys.readouterr().err
    assert main(["import", "nowhere.onnx", "--out", str(home / "thesis.tex")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert list(home.iterdir()) == [home / "thesis.tex"]


def test_the_line_of_an_accuracy_says_where_it_is_of_no_test_part(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    rng = np.random.default_rng(2)
    part = rng.normal(0, 1, (20, 3, 8, 8)), np.arange(20) % 4
    parts = dict(zip(("x", "y", "x_test", "y_test"), part * 2, strict=True))
    np.savez("parts.npz", **parts)  # type: ignore[arg-type]
    for data, said in (("data.npz", "of 90 images (all of the data,"), ("parts.npz", "(test)")):
        capsys.readouterr()
        assert main(["evaluate", "sigmoid", "--dataset", data]) == 0
        shown = capsys.readouterr().out
        assert said in shown
        assert ("(test)" in shown) == (data == "parts.npz")
        assert "on the test images" not in shown or data == "parts.npz"
