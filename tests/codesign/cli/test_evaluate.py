"""``codesign evaluate``: accuracy of a build folder's network on other data, matched by name."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codesign.cli import main
from models.data import datasets
from models.data.datasets import ReadOptions
from tests.codesign import named_build
from tests.codesign.named_build import NAMES


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return named_build.write(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def evaluate(folder, capsys):
    """Run the verb on the build folder; return its exit status and its JSON."""

    def run(*argv: object) -> tuple[int, dict]:
        status = main(["evaluate", str(folder), *map(str, argv), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


def saved(path: Path, **arrays) -> Path:
    np.savez(path, **arrays)
    return path


def test_all_of_other_data_is_counted_by_name_and_mapped_as_the_design_says(evaluate, tmp_path):
    """Two of five classes, which get other numbers than the network's; values fill half a range."""
    values, labels = named_build.examples(40, seed=5, names=("eel", "bee"))
    status, found = evaluate("--dataset", saved(tmp_path / "other.npz", x=values, y=labels))
    assert status == 0
    answers = named_build.logits(values).argmax(axis=1)
    right = sum(NAMES[answer] == label for answer, label in zip(answers, labels, strict=True))
    assert found["accuracy"]["test"]["share"] == right / 40
    assert set(found) == {"dataset", "accuracy", "classes", "per_class", "confusion", "notes"}
    assert set(found["accuracy"]) == {"test"}
    assert set(found["accuracy"]["test"]) == {"share", "images", "low", "high"}
    assert found["classes"] == list(NAMES)
    assert [found["per_class"][name]["images"] for name in NAMES] == [0, 20, 0, 0, 20]
    confusion = np.zeros((5, 5), int)
    np.add.at(confusion, ([NAMES.index(label) for label in labels], answers), 1)
    assert found["confusion"] == confusion.tolist()
    assert "there is no test part: all 40 examples are used" in found["notes"]


def test_of_data_with_parts_the_test_part_counts(evaluate, tmp_path):
    values, labels = named_build.examples(30, seed=6)
    parts = {"x": values[:20], "y": labels[:20], "x_test": values[20:], "y_test": labels[20:]}
    status, found = evaluate("--dataset", saved(tmp_path / "parts.npz", **parts))
    assert (status, found["accuracy"]["test"]["images"]) == (0, 10)


def test_the_own_data_set_is_split_as_for_training(evaluate, folder):
    status, found = evaluate("--data-dir", folder.parent)
    options = ReadOptions(input_range=named_build.RANGE)
    test = datasets.load(named_build.OWN, folder.parent, 3, options=options).test
    values, labels = named_build.examples(120, seed=1)
    assert (status, found["accuracy"]["test"]["images"]) == (0, len(test)) == (0, 25)
    answers = named_build.logits(values).argmax(axis=1)
    levels = np.floor((values.astype(np.float64)[:, None] + 1) * 127.5 + 0.5).astype(np.uint8)
    tested = [i for i in range(120) if (levels[i] == test.images).all(axis=(1, 2, 3)).any()]
    confusion = np.zeros((5, 5), int)
    np.add.at(confusion, ([NAMES.index(labels[i]) for i in tested], answers[tested]), 1)
    assert found["confusion"] == confusion.tolist()


def test_numbers_count_where_the_data_has_no_names(evaluate, tmp_path):
    values, labels = named_build.examples(20, seed=7)
    numbers = [NAMES.index(label) for label in labels]
    _, by_name = evaluate("--dataset", saved(tmp_path / "a.npz", x=values, y=labels))
    _, by_number = evaluate("--dataset", saved(tmp_path / "b.npz", x=values, y=numbers))
    assert by_number["confusion"] == by_name["confusion"]
    assert "the data's classes have no names: class 0 is ant" in by_number["notes"]


def test_values_that_the_input_range_does_not_suit_are_noted(evaluate, tmp_path):
    values, labels = named_build.examples(20, seed=7)
    _, wide = evaluate("--dataset", saved(tmp_path / "wide.npz", x=255 * values, y=labels))
    assert any("lie outside the input range, -1..1" in note
               for note in wide["notes"])  # fmt: skip
    _, narrow = evaluate("--dataset", saved(tmp_path / "narrow.npz", x=values / 99, y=labels))
    assert any("fill little of the input range, -1..1" in n for n in narrow["notes"])


def test_pictures_are_resized_when_asked(evaluate, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(3):
            pixels = rng.integers(0, 256, (9, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    status, found = evaluate("--dataset", tmp_path / "photos", "--resize", "6x6")
    assert (status, found["accuracy"]["test"]["images"]) == (0, 6)
    status, found = evaluate("--dataset", tmp_path / "photos")
    assert status == 2
    assert (
        "have the shape (1, 9, 12) (channels, rows, columns), the network takes (1, 6, 6)"
        in (found["error"])
    )


def test_coloured_pictures_are_made_grey_for_a_grey_network(evaluate, tmp_path):
    for kind, mode in (("colour", "RGB"), ("grey", "L")):
        rng = np.random.default_rng(0)
        for name in ("ant", "bee"):
            (tmp_path / kind / name).mkdir(parents=True)
            for index in range(3):
                pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
                picture = Image.fromarray(pixels).convert(mode)
                picture.save(tmp_path / kind / name / f"{index}.png")
    (_, colour), (_, grey) = (evaluate("--dataset", tmp_path / kind) for kind in ("colour", "grey"))
    assert colour["confusion"] == grey["confusion"]
    assert any("coloured pictures are made grey" in note for note in colour["notes"])
    assert not any("coloured" in note for note in grey["notes"])


def test_simulation_of_other_images_is_bit_exact(evaluate, tmp_path, folder):
    values, labels = named_build.examples(8, seed=9)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    data = saved(tmp_path / "few.npz", x=values, y=labels)
    status, found = evaluate("--dataset", data, "--simulate", 2)
    assert status == 0
    assert found["simulated"] == {
        "images": 2, "bit_exact": True, "passed": True, "failure": None
    }  # fmt: skip
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_hardware_that_differs_ends_with_status_1(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "build")
    image = tmp_path / "build" / "mem" / "weights.hex"
    image.write_text(re.sub("[0-9a-f]", "0", image.read_text()))
    values, labels = named_build.examples(8, seed=9)
    data = saved(tmp_path / "few.npz", x=values, y=labels)
    argv = ["evaluate", str(tmp_path / "build"), "--dataset", str(data), "--simulate", "1"]
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert "1 images, NOT bit-exact" in out
    assert "first failure: image 0, layer conv1" in out
    assert "mem/weights.hex was changed or removed after the build" in err


def test_an_unknown_class_is_refused(evaluate, tmp_path):
    values, labels = named_build.examples(20, seed=7, names=("ant", "fox"))
    status, found = evaluate("--dataset", saved(tmp_path / "fox.npz", x=values, y=labels))
    assert status == 2
    assert (
        "class fox is not among the 5 classes of the network (ant, bee, cat, dog, eel)"
        in (found["error"])
    )
    numbers = saved(tmp_path / "six.npz", x=values, y=np.arange(20) % 6)
    status, found = evaluate("--dataset", numbers)
    assert (status, "class 5 is not among the 5 classes" in found["error"]) == (2, True)


def test_another_shape_is_refused(evaluate):
    status, found = evaluate("--dataset", "digits")
    assert status == 2
    assert found["error"] == (
        "digits: examples have the shape (1, 8, 8) (channels, rows, columns), the network takes "
        "(1, 6, 6)"
    )


def test_folders_without_the_network_are_refused(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "build")
    named_build.as_older_version(tmp_path / "build")
    assert main(["evaluate", str(tmp_path / "build")]) == 2
    assert "it was built by an older version; build it again" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path)]) == 2
    assert "is not a build folder" in capsys.readouterr().err


def test_text_shows_the_accuracy_with_its_interval(folder, tmp_path, capsys):
    values, labels = named_build.examples(40, seed=5)
    data = saved(tmp_path / "other.npz", x=values, y=labels)
    assert main(["evaluate", str(folder), "--dataset", str(data)]) == 0
    assert re.search(r"accuracy: +[\d.]+ % \(.*\) of 40 images", capsys.readouterr().out)
