"""``codesign predict``: classes and scores of new pictures and arrays."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codesign import design as designs
from codesign.cli import main
from models.integer import reference
from tests.codesign import named_build, small_build
from tests.codesign.named_build import NAMES


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return named_build.write(tmp_path_factory.mktemp("predict"))


@pytest.fixture
def other(folder, tmp_path) -> Path:
    """A copy of the build folder, to be changed."""
    return Path(shutil.copytree(folder, tmp_path / "other"))


def changed_design(build: Path, **changes) -> Path:
    """The build folder with another data set or input range in its design."""
    path = build / "design.yaml"
    dataclasses.replace(designs.load(path), **changes).save(path)
    return build


@pytest.fixture
def predict(capsys):
    def run(build: Path, *files: Path) -> list[dict]:
        assert main(["predict", str(build), *map(str, files), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def refused(capsys):
    def run(build: Path, *files: Path) -> str:
        assert main(["predict", str(build), *map(str, files)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    return run


def test_arrays_give_class_name_and_softmax(predict, folder, tmp_path):
    """One example, many, and an axis of channels, in both kinds of file."""
    values, _ = named_build.examples(4, seed=2)
    files = [tmp_path / name for name in ("one.npy", "many.npy", "some.npz")]
    np.save(files[0], values[0])
    np.save(files[1], values[1:3])
    np.savez(files[2], x=values[3:, None], y=[0])
    found = predict(folder, *files)
    assert [(Path(one["file"]).name, one["index"]) for one in found] == [
        ("one.npy", 0), ("many.npy", 0), ("many.npy", 1), ("some.npz", 0)
    ]  # fmt: skip
    scale = small_build.parts()[1].logits.scale
    for one, logits in zip(found, named_build.logits(values), strict=True):
        assert set(one) == {"file", "index", "class", "name", "scores"}
        assert one["class"] == logits.argmax()
        assert one["name"] == NAMES[one["class"]]
        powers = np.exp((logits - logits.max()) * scale)
        assert one["scores"] == pytest.approx(powers / powers.sum())


def test_a_line_for_each_example(folder, tmp_path, capsys):
    values, _ = named_build.examples(2, seed=2)
    np.save(tmp_path / "many.npy", values)
    np.save(tmp_path / "one.npy", values[0])
    argv = ["predict", str(folder), str(tmp_path / "many.npy"), str(tmp_path / "one.npy")]
    assert main(argv) == 0
    lines = capsys.readouterr().out.splitlines()
    best = named_build.logits(values).argmax(axis=1)
    assert [line.partition(": ")[0] for line in lines] == [
        f"{tmp_path}/many.npy[0]", f"{tmp_path}/many.npy[1]", f"{tmp_path}/one.npy"
    ]  # fmt: skip
    for line, answer in zip(lines, best[[0, 1, 0]], strict=True):
        assert f": {NAMES[answer]} " in line
        assert ", then " in line


def test_pictures_are_read_as_pixels(predict, other, tmp_path, capsys):
    changed_design(other, input=None)
    pixels = np.random.default_rng(4).integers(0, 256, (6, 6), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([pixels] * 3)).save(tmp_path / "same.png")
    expected = reference.predict(small_build.parts()[1].integer, pixels[None, None])[0]
    for one in predict(other, tmp_path / "grey.png", tmp_path / "same.png"):
        assert one["class"] == expected.argmax()
    colour = np.dstack([pixels, pixels, 255 - pixels])
    Image.fromarray(colour).save(tmp_path / "colour.png")
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    expected = reference.predict(small_build.parts()[1].integer, grey[None, None])[0]
    assert main(["predict", str(other), str(tmp_path / "colour.png"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["class"] == expected.argmax()
    assert "colour.png: coloured pictures are made grey" in err


def test_pictures_are_resized_only_if_those_of_training_were(predict, refused, other, tmp_path):
    picture = tmp_path / "large.png"
    Image.fromarray(np.zeros((12, 9), np.uint8)).save(picture)
    assert "has 12x9 pixels (rows x columns), the network takes 6x6" in refused(other, picture)
    spec = dataclasses.replace(designs.load(other / "design.yaml").dataset, resize=(6, 6))
    assert len(predict(changed_design(other, dataset=spec), picture)) == 1


def test_an_axis_order_that_the_design_says_counts(predict, refused, other, tmp_path):
    values, _ = named_build.examples(1, seed=2)
    file = tmp_path / "last.npy"
    np.save(file, values[:, :, :, None])
    answer = predict(other, file)[0]["class"]
    assert answer == named_build.logits(values).argmax()
    spec = dataclasses.replace(designs.load(other / "design.yaml").dataset, layout="hw")
    assert "in the design's layout hw" in refused(changed_design(other, dataset=spec), file)


@pytest.mark.parametrize(
    "name, array, words",
    [
        ("a.npy", np.zeros((5, 5)), "the array (5, 5) holds no examples of the shape (1, 6, 6)"),
        ("a.npy", np.full((6, 6), np.nan), "1 of 1 examples hold NaN"),
        ("a.npy", np.zeros((0, 6, 6)), "the array (0, 6, 6) is empty"),
        ("a.npy", np.full((6, 6), "b"), "must hold numbers"),
        ("a.npz", {"images": np.zeros((6, 6))}, "array x is missing (found: images)"),
        ("a.npy", b"no array", "is not an array of numbers"),
        ("a.png", b"no picture", "is a corrupt image"),
        ("a.txt", b"text", "must be a picture or an array of numbers"),
        ("a.npz", None, "no such file"),
    ],
)
def test_bad_files_are_refused_by_name(refused, folder, tmp_path, name, array, words):
    """Beside a good file, of which nothing is printed."""
    good, path = tmp_path / "good.npy", tmp_path / name
    np.save(good, np.zeros((6, 6)))
    if isinstance(array, bytes):
        path.write_bytes(array)
    elif isinstance(array, dict):
        np.savez(path, **array)
    elif array is not None:
        np.save(path, array)
    error = refused(folder, good, path)
    assert words in error
    assert str(path) in error


def test_older_build_folders_are_to_be_built_again(refused, other, tmp_path):
    named_build.as_older_version(other)
    np.save(tmp_path / "one.npy", np.zeros((6, 6)))
    assert "built by an older version; build it again" in refused(other, tmp_path / "one.npy")
