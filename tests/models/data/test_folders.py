"""Parts and classes of image folders as people have them."""

from __future__ import annotations

import itertools

import pytest

from models.data.folders import PART_NAMES, entries
from models.errors import DatasetError


def found(*names: str) -> set[tuple[str, str]]:
    return {(entry.part, entry.label) for entry in entries("here", names)[0]}


@pytest.mark.parametrize(
    "part, name", [(part, name) for part, names in PART_NAMES.items() for name in names]
)
def test_parts_under_their_usual_names_in_any_case(part, name):
    for word in (name, name.upper(), name.capitalize()):
        names = [f"{word}/cat/1.png", f"{word}/dog/1.png"]
        if part != "train":
            names += ["TRAIN/cat/1.png", "TRAIN/dog/1.png"]
        assert {(part, "cat"), (part, "dog")} <= found(*names)


def test_the_class_is_the_first_folder_below_the_part():
    names = [f"{c}/{day}/1.png" for c, day in itertools.product("ab", ("monday", "friday"))]
    assert found(*names) == {("train", "a"), ("train", "b")}
    assert found(*(f"train/{name}" for name in names)) == {("train", "a"), ("train", "b")}


def test_folders_around_everything_are_looked_through():
    assert found("pets/v2/cat/1.png", "pets/v2/dog/1.png") == {("train", "cat"), ("train", "dog")}
    assert found("x/train/cat/1.png", "x/Test/cat/1.png") == {("train", "cat"), ("test", "cat")}


def test_classes_may_have_names_like_parts():
    names = ["test tube/1.png", "train engine/2.png", "tram/test/1.png"]
    assert {label for _, label in found(*names)} == {"test tube", "train engine", "tram"}


def test_folders_without_pictures_are_said():
    names = ["cat/", "cat/1.png", "dog/", "dog/1.png", "cow/", "pig/", "pig/notes/", ".x/", "a/b/"]
    notes = entries("here", names)[1]
    assert notes == ["folders without pictures are left out: a/b, cow, pig and 1 more"]


def test_hidden_and_system_files_are_left_out_and_counted():
    names = ["cat/1.png", "dog/1.png", ".ipynb_checkpoints/1.png", "__MACOSX/cat/._1.png"]
    names += ["cat/.hidden/2.png", "cat/._1.png", "cat/Thumbs.db", "cat/notes.txt"]
    kept, notes = entries("here", names)
    assert {entry.name for entry in kept} == {"cat/1.png", "dog/1.png"}
    assert notes == [
        "4 hidden or system files are left out",
        "1 files that are no pictures are left out",
    ]


@pytest.mark.parametrize(
    "names, message",
    [
        (["readme.txt"], "holds no images; expected train/<class>"),
        (["1.png", "cat/1.png"], "1.png lies in no class folder"),
        (["train/1.png", "train/cat/1.png"], "train/1.png lies in no class folder"),
        (["test/cat/1.png"], "has test but no train/<class> folders"),
        (["train/cat/1.png", "extra/cat/1.png"], "train and extra lie side by side"),
        (["cat/train/1.png", "cat/test/1.png", "dog/train/1.png"], "parts lie within the classes"),
        (["train_images/a/1.png", "test_images/a/1.png"], "test_images, train_images seem to be"),
        (["seg_train/seg_train/a/1.png", "seg_test/seg_test/a/1.png"], "seem to be parts"),
        (["val/cat/1.png", "valid/cat/1.png", "train/cat/1.png"], "two folders of one part"),
    ],
)
def test_what_is_not_clear_is_refused(names, message):
    with pytest.raises(DatasetError, match=message):
        entries("here", names)


def test_pictures_keep_the_names_that_their_zip_has():
    listed, _ = entries("here", ["./a/1.png", ".//b/2.png"])
    assert [entry.name for entry in listed] == ["./a/1.png", ".//b/2.png"]
