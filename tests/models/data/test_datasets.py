"""Splits, and the one mapping that all parts of a data set share."""

from __future__ import annotations

import numpy as np
import pytest

from models.data import datasets
from models.data.datasets import ReadOptions
from models.data.values import InputRange
from models.errors import DatasetError

RNG = np.random.default_rng(0)


def test_a_size_that_arrays_are_not_brought_to_is_a_note(tmp_path):
    np.savez(tmp_path / "a.npz", x=RNG.integers(0, 256, (40, 6, 6)), y=np.arange(40) % 2)
    for size, told in (((3, 3), True), ((6, 6), False)):
        options = datasets.ReadOptions(resize=size)
        found = datasets.load("a.npz", tmp_path, options=options)
        assert found.shape == (1, 6, 6)
        assert any("resize has no effect" in note for note in found.notes) == told


def test_digits_split_is_seeded_stratified_and_disjoint():
    one, again, other = (datasets.load("digits", seed=seed) for seed in (1, 1, 2))
    assert one.shape == (1, 8, 8)
    assert one.classes == 10
    assert one.train.images.dtype == np.uint8
    assert one.train.images.max() == 255
    parts = (one.train, one.validation, one.test)
    assert sum(map(len, parts)) == 1797
    for split, same in zip(parts, (again.train, again.validation, again.test), strict=True):
        np.testing.assert_array_equal(split.images, same.images)
        counts = np.bincount(split.labels, minlength=10)
        assert counts.max() - counts.min() <= 0.15 * counts.max() + 1
    assert not np.array_equal(one.test.labels, other.test.labels)
    seen = [image.tobytes() for split in parts for image in split.images]
    assert len(set(seen)) >= 1790  # a few digits are drawn alike


@pytest.mark.parametrize("rare, part", [(1, "test"), (2, "validation")])
def test_a_class_with_too_few_examples_is_named(tmp_path, rare, part):
    y = np.array(["usual"] * 8 + ["rare"] * rare)
    np.savez(tmp_path / "a.npz", x=RNG.random((len(y), 4)), y=y)
    with pytest.raises(DatasetError, match=f"class rare has a single .* no {part} part"):
        datasets.load("a.npz", tmp_path)


def test_other_files_and_suffixes_in_capitals(tmp_path):
    x = RNG.random((30, 4))
    np.save(tmp_path / "a.npy", x)
    with pytest.raises(DatasetError, match=r"a.npy: is no .npz file, .*docs/data.md"):
        datasets.load("a.npy", tmp_path)
    with (tmp_path / "A.NPZ").open("wb") as file:
        np.savez(file, x=x, y=np.arange(30) % 2)
    assert datasets.load("A.NPZ", tmp_path).classes == 2


def test_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(
        DatasetError, match=r"'cifar' is not known: use digits, mnist, fashion-mnist"
    ):
        datasets.load("cifar", tmp_path)


def test_a_path_that_is_not_there_is_told_apart_from_a_name(tmp_path):
    with pytest.raises(DatasetError, match=r"no such \.npz file, image folder or zip"):
        datasets.load("data/pets", tmp_path)


# One mapping ---------------------------------------------------------------------------------


def _parts(folder, train, test):
    labels = [np.arange(len(x)) % 2 for x in (train, test)]
    np.savez(folder / "a.npz", x_train=train, y_train=labels[0], x_test=test, y_test=labels[1])
    return folder


def test_a_real_training_part_and_an_integer_test_part_share_one_scale(tmp_path):
    grey = RNG.integers(0, 17, (40, 6, 6))
    grey[0] = 16
    dataset = datasets.load("a.npz", _parts(tmp_path, grey / 16.0, grey[:8] // 16))
    assert dataset.input_range == InputRange.of(0, 1)
    np.testing.assert_array_equal(dataset.test.images[:, 0], grey[:8] // 16 * 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_integers_and_reals_of_the_same_pictures_give_the_same_levels(tmp_path, dtype):
    grey = RNG.integers(0, 17, (40, 6, 6))
    grey[:, 0, 0] = np.arange(40) % 17
    grey[np.arange(40) % 2 == 0, 1, 1] = 16  # whatever is split off, 16 stays in training
    values = (grey / 16).astype(dtype) if np.dtype(dtype).kind == "f" else grey.astype(dtype)
    dataset = datasets.load("a.npz", _parts(tmp_path, values, values[:9]))
    expected = np.floor(grey[:9] * (255 / 16) + 0.5)
    np.testing.assert_array_equal(dataset.test.images[:, 0], expected)


def test_the_range_is_found_on_the_training_part_alone(tmp_path):
    train, test = RNG.normal(size=(60, 7)), 100 + RNG.normal(size=(10, 7))
    dataset = datasets.load("a.npz", _parts(tmp_path, train, test))
    assert len(dataset.input_range.low) == 7
    assert (np.array(dataset.input_range.high) < 10).all()
    assert (dataset.test.images == 255).all()


def test_a_range_that_is_given_counts(tmp_path):
    values = RNG.integers(-100, 100, (40, 5, 5)).astype(np.int8)
    folder = _parts(tmp_path, values, values[:6])
    options = ReadOptions(input_range=InputRange.of(-128, 127))
    dataset = datasets.load("a.npz", folder, options=options)
    np.testing.assert_array_equal(dataset.test.images[:, 0], values[:6].astype(int) + 128)
    wrong = ReadOptions(input_range=InputRange((0.0,) * 3, (1.0,) * 3))
    with pytest.raises(DatasetError, match="low and high have 3 values, the data has 1 channels"):
        datasets.load("a.npz", folder, options=wrong)


def test_what_is_doubtful_is_said(tmp_path):
    dataset = datasets.load("a.npz", _parts(tmp_path, np.full((20, 4, 4), 7), np.ones((4, 4, 4))))
    assert any("all inputs are equal" in note for note in dataset.notes)
    assert any("test part has 4 examples" in note for note in dataset.notes)
    binary = datasets.load(
        "a.npz", _parts(tmp_path, RNG.integers(0, 2, (40, 4, 4)), np.ones((4, 4, 4)))
    )
    assert any("uses 2 of 256 input levels" in note for note in binary.notes)
