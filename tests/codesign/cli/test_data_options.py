"""What a user says about his data on the command line reaches design, training and build folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codesign import design as designs
from codesign.cli.data_options import size
from codesign.cli.main import main
from models.data.cifar10 import CLASSES

DESIGN = """\
name: one
dataset: {{name: {name}}}
network:
- {{name: image, op: input, shape: {shape}}}
- {{name: logits, op: linear, out_features: {classes}}}
quantisation: {{input_bits: 8, default: {{weight_bits: 4, activation_bits: 4}}}}
npu: {{pixels: 1, lanes: 4, columns: 8, accumulator_bits: 24, weight_depth: 1024}}
"""


def half_is_bright(folder: Path) -> Path:
    """The class is which half of a colour picture is bright: mirrored, it is the other one."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 240)
    x = rng.integers(0, 80, (240, 3, 8, 8)).astype(np.uint8)
    x[y == 0, :, :, :4] += 120
    x[y == 1, :, :, 4:] += 120
    np.savez(folder / "half.npz", x=x, y=np.array(["left", "right"])[y])
    text = DESIGN.format(name="half.npz", shape=[3, 8, 8], classes=2)
    (folder / "half.yaml").write_text(text)
    return folder / "half.yaml"


def trained(capsys: pytest.CaptureFixture[str], *command: object) -> dict:
    assert main([*map(str, command), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def like_cifar10(folder: Path) -> Path:
    """Pictures of CIFAR-10's shape and classes, of random values, under another name."""
    rng = np.random.default_rng(2)
    for name in CLASSES:
        (folder / "set" / "train" / name).mkdir(parents=True)
        for number in range(5):
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "set" / "train" / name / f"{number}.png")
    deep = "weight_depth: 4096, activation_depth: 1024}"
    text = DESIGN.format(name="set", shape=[3, 32, 32], classes=len(CLASSES))
    (folder / "set.yaml").write_text(text.replace("weight_depth: 1024}", deep))
    return folder / "set.yaml"


def test_what_training_guesses_is_said_where_something_is_trained(tmp_path, capsys):
    design, weights = like_cifar10(tmp_path), tmp_path / "w"
    guess = "shape and classes are cifar10's: training changes images as there"

    def said(*command: object) -> bool:
        return any(note.startswith(guess) for note in trained(capsys, *command)["notes"])

    assert said("train", design, "--epochs", 2, "--out", weights)
    assert not said("train", design, "--epochs", 2, "--augment", "none", "--out", tmp_path / "v")
    assert said("build", design, "--epochs", 2, "--out", tmp_path / "a", "--images", 1)
    built = tmp_path / "b"
    assert not said("build", design, "--weights", weights, "--out", built, "--images", 1)
    assert not said("evaluate", built, "--data-dir", tmp_path)


def test_nothing_is_mirrored_unless_asked_for(tmp_path, capsys):
    design, out = half_is_bright(tmp_path), tmp_path / "w"
    found = trained(capsys, "train", design, "--epochs", 12, "--out", out)
    test = found["accuracy"]["test"]
    assert (test["share"], test["images"]) == (1.0, 48)
    assert 0.9 < test["low"] < 1 == test["high"]
    assert found["classes"] == ["left", "right"]
    assert found["per_class"]["right"]["recall"] == 1
    assert any("no test part" in note for note in found["notes"])
    # What others script against, of evaluate and explore as well.
    assert {"accuracy", "classes", "per_class", "notes"} <= found.keys()
    assert set(found["accuracy"]) == {"validation", "test"}
    assert set(test) == {"share", "images", "low", "high"}
    assert set(found["per_class"]["left"]) == {"recall", "images"}
    mirrored = trained(capsys, "train", design, "--epochs", 12, "--out", out, "--augment", "mirror")
    assert mirrored["accuracy"]["test"]["share"] < 0.8


def test_a_data_set_is_found_beside_its_design(tmp_path, capsys, monkeypatch):
    design = half_is_bright(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    trained(capsys, "train", design, "--epochs", 2, "--out", tmp_path / "w")
    (tmp_path / "half.npz").unlink()
    assert main(["train", str(design), "--epochs", "2"]) == 2
    assert f"nor is it beside the design, in {tmp_path}" in capsys.readouterr().err


def test_the_mapping_is_recorded_and_used_again(tmp_path, capsys):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 6)) * [1, 10, 100, 1000, 1, 1] + y[:, None] * [1, 0, 0, 2000, 0, 0]
    np.savez(tmp_path / "t.npz", x=x, y=y)
    path = tmp_path / "t.yaml"
    path.write_text(DESIGN.format(name="t.npz", shape=[6, 1, 1], classes=3))
    command = ("build", path, "--epochs", 3, "--out", tmp_path / "b", "--augment", "none")
    trained(capsys, *command, "--class-weights")
    built = designs.load(tmp_path / "b" / "design.yaml")
    assert built.input is not None
    assert len(built.input.low) == 6
    assert (built.training.augment, built.training.class_weights) == ("none", True)
    assert designs.loads(built.to_yaml()) == built
    report = json.loads((tmp_path / "b" / "reports" / "accuracy.json").read_text())
    assert report["augmentation"] == "none"
    assert report["input"] == "one range for each of 6 channels"
    assert set(report["scores"]) == {"validation", "test"}
    fixed = path.read_text() + "input: {low: 0, high: 1}\n"
    path.write_text(fixed)
    trained(capsys, *command)
    assert designs.load(tmp_path / "b" / "design.yaml").input == designs.loads(fixed).input


@pytest.mark.parametrize(
    "line, message",
    [
        ("input: {low: 1, high: 0}", "low must be less than high"),
        ("input: {low: [0, 0], high: 1}", "one value, or one for each channel"),
        ("training: {augment: mixup}", "augment must be one of none, shift, mirror"),
        ("training: {augment: mirror, shift_rows: 2}", "shift_rows needs augment: shift"),
        ("training: {shift_rows: 4000}", "shift_rows must be 0..256"),
    ],
)
def test_senseless_blocks_name_their_line(tmp_path, capsys, line, message):
    path = half_is_bright(tmp_path)
    path.write_text(f"{path.read_text()}{line}\n")
    assert main(["estimate", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "half.yaml:" in error


def test_sizes_are_rows_and_columns():
    assert (size("32x48"), size("8")) == ((32, 48), (8, 8))
    for text in ("", "x", "0x4", "4x", "ax3"):
        with pytest.raises(Exception, match="ROWSxCOLUMNS"):
            size(text)
