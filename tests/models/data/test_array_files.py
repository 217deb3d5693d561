"""IDX and .npz files of every layout and kind of label, and what is refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from models.data import array_files, datasets
from models.data.datasets import ReadOptions
from models.data.layout import Layout
from models.errors import DatasetError

RNG = np.random.default_rng(0)


# IDX -----------------------------------------------------------------------------------------


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _mnist_folder(folder: Path, classes: int = 10) -> Path:
    folder.mkdir(exist_ok=True)
    for prefix, count in (("train", 60), ("t10k", 20)):
        images = RNG.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        labels = (np.arange(count) % classes).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(images)))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(_idx(labels))
    return folder


def test_idx_files_plain_and_gzip(tmp_path):
    folder = _mnist_folder(tmp_path / "m")
    dataset = datasets.load("mnist", folder)
    assert dataset.shape == (1, 5, 4)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (50, 10, 20)
    stored = array_files.read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    np.testing.assert_array_equal(dataset.test.images[:, 0], stored)


@pytest.mark.parametrize(
    "name, damage, message",
    [
        ("train-labels-idx1-ubyte", None, "no file train-labels-idx1-ubyte or .*looked in"),
        ("train-images-idx3-ubyte.gz", lambda b: b[:-30], "truncated or damaged gzip"),
        ("train-images-idx3-ubyte.gz", lambda b: b"no gzip", "truncated or damaged gzip"),
        (
            "train-images-idx3-ubyte.gz",
            lambda b: gzip.compress(gzip.decompress(b)[:-7]),
            "truncated: 1200 bytes of data expected, 1193 found",
        ),
        (
            "t10k-labels-idx1-ubyte",
            lambda b: b + b"x",
            "too long: more than the 20 bytes of data expected",
        ),
        ("t10k-labels-idx1-ubyte", lambda b: b"PNG" + b, "is not an IDX file of bytes with 1 dim"),
        ("t10k-labels-idx1-ubyte", lambda b: b[:-1] + b"\x0b", "label 11 is outside 0..9"),
        ("t10k-labels-idx1-ubyte", lambda b: _idx(np.zeros(5, np.uint8)), "20 labels expected"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, name, damage, message):
    file = _mnist_folder(tmp_path / "m") / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DatasetError, match=message) as caught:
        datasets.load("mnist", tmp_path / "m")
    assert name.removesuffix(".gz") in str(caught.value)


def test_mnist_without_a_folder_says_so():
    with pytest.raises(DatasetError, match="give a data folder"):
        datasets.load("mnist")


def test_a_given_folder_is_the_only_place_looked_in(tmp_path, monkeypatch):
    monkeypatch.setitem(array_files.SYSTEM_DIRS, "fashion-mnist", tmp_path / "system")
    with pytest.raises(DatasetError, match=f"looked in {tmp_path}/mine") as error:
        datasets.load("fashion-mnist", tmp_path / "mine")
    assert "system" not in str(error.value)
    with pytest.raises(DatasetError, match=r"looked in .*system"):
        datasets.load("fashion-mnist")


# npz -----------------------------------------------------------------------------------------


def _labels(count: int) -> np.ndarray:
    return np.arange(count) % 3


def _load(folder: Path, layout: str = "auto", **arrays: object) -> datasets.Dataset:
    np.savez(folder / "own.npz", **arrays)
    return datasets.load("own.npz", folder, options=ReadOptions(layout=Layout(layout)))


@pytest.mark.parametrize(
    "shape, layout, expected, said",
    [
        ((30, 6, 5), "auto", (1, 6, 5), False),
        ((30, 3, 6, 5), "auto", (3, 6, 5), False),
        ((30, 6, 5, 3), "auto", (3, 6, 5), False),
        ((30, 40, 8, 8), "auto", (40, 8, 8), True),
        ((30, 8, 8, 40), "auto", (40, 8, 8), True),
        ((30, 8, 8, 40), "hwc", (40, 8, 8), False),
        ((30, 17), "auto", (17, 1, 1), False),
        ((30, 1, 128), "auto", (1, 1, 128), False),
        ((30, 6, 128), "auto", (6, 1, 128), True),
        ((30, 6, 128), "hw", (1, 6, 128), False),
        ((30, 128, 6), "lc", (6, 1, 128), False),
        ((30, 49, 10), "auto", (1, 49, 10), True),
        ((30, 128, 3), "auto", (1, 128, 3), True),
        ((30, 40, 128), "auto", (1, 40, 128), True),
    ],
)
def test_layouts_are_known_or_guessed_and_said(tmp_path, shape, layout, expected, said):
    dataset = _load(tmp_path, layout, x=RNG.integers(0, 256, shape), y=_labels(30)[:, None])
    assert (dataset.name, dataset.shape, dataset.classes) == ("own.npz", expected, 3)
    assert any("--layout" in note for note in dataset.notes) == said


def test_a_layout_keeps_every_value_in_its_place(tmp_path):
    x = RNG.integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)
    x[0, 0, 0, 0] = 255
    dataset = _load(tmp_path, x_train=x, y_train=_labels(30), x_test=x[:6], y_test=_labels(6))
    np.testing.assert_array_equal(dataset.test.images, x[:6].transpose(0, 3, 1, 2))


def test_parts_that_are_there_are_kept(tmp_path):
    x = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8)
    x[0, 0, 0] = 255
    arrays = {f"{a}_{p}": v[:n] for a, v in (("x", x), ("y", _labels(30)))
              for p, n in (("train", 30), ("val", 9), ("test", 6))}  # fmt: skip
    dataset = _load(tmp_path, **arrays)
    assert list(map(len, (dataset.train, dataset.validation, dataset.test))) == [30, 9, 6]
    np.testing.assert_array_equal(dataset.test.images[:, 0], x[:6])


def test_arrays_that_are_not_used_are_said(tmp_path):
    x = RNG.random((30, 4))
    dataset = _load(tmp_path, x=x, y=_labels(30), X_test=x, y_test=_labels(30))
    assert "arrays that are not used: X_test, y_test" in dataset.notes


@pytest.mark.parametrize(
    "y, names, note",
    [
        ([0, 1, 2], ("0", "1", "2"), None),
        ([1, 2, 10], ("1", "2", "10"), "labels 1..10 are 3 classes"),
        ([-1, 1, -1], ("-1", "1"), "labels -1..1 are 2 classes"),
        ([0.0, 1.0, 2.0], ("0", "1", "2"), None),
        ([False, True, True], ("False", "True"), None),
        (["class 10", "class 9", "b"], ("b", "class 9", "class 10"), None),
        ([b"no", b"yes", b"no"], ("no", "yes"), None),
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], ("0", "1", "2"), "one-hot"),
    ],
)
def test_labels_of_every_kind(tmp_path, y, names, note):
    dataset = _load(tmp_path, x=RNG.integers(0, 256, (30, 4, 4)), y=np.array(y * 10))
    assert dataset.names == names
    parts = (dataset.train, dataset.validation, dataset.test)
    assert {int(label) for part in parts for label in part.labels} == set(range(len(names)))
    assert note is None or any(note in one for one in dataset.notes)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.zeros((4, 2, 2))}, r"array y is missing \(found: x\)"),
        ({"images": np.zeros(3)}, "array x is missing"),
        ({"x": np.zeros(4), "y": _labels(4)}, r"x must be \(n, features\)"),
        ({"x": np.zeros((4, 2, 2)), "y": _labels(5)}, r"4 labels expected"),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0.5, 1, 1, 1])}, "labels must be classes"),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0, 1, 1, np.nan])}, "labels must be classes"),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0, 1, 1, 1e30])}, "labels must be classes"),
        ({"x": np.zeros((2, 2, 2)), "y": np.array([b"\xe9", b"\xfc"])}, "must be UTF-8 text"),
        ({"x": np.zeros((0, 8)), "y": np.zeros(0, int)}, r"x must be \(n, features\)"),
        ({"x": np.array(1.0), "y": np.zeros(1, int)}, r"x must be \(n, features\)"),
        ({"x": np.full((30, 2), 1e308) * (_labels(30)[:, None] - 1), "y": _labels(30)}, "scale"),
        ({"x": np.full((4, 2, 2), "dark"), "y": np.array([0, 1, 0, 1])}, "must hold numbers"),
        ({"x": np.full((4, 2, 2), np.nan), "y": np.array([0, 1, 0, 1])}, "4 of 4 examples hold"),
        ({"x": np.zeros((4, 2, 2)), "y": np.zeros(4, int)}, r"must hold 2..1000 classes"),
        (
            {
                "x_train": np.zeros((6, 2, 2)), "y_train": _labels(6),
                "x_test": np.zeros((3, 2, 3)), "y_test": _labels(3),
            },
            "x_test .* does not match",
        ),
        (
            {
                "x_train": np.zeros((6, 2, 2)), "y_train": _labels(6),
                "x_test": np.zeros((3, 2, 2)), "y_test": np.array([0, 1, 9]),
            },
            "class 9 is not among the training labels",
        ),
    ],
)  # fmt: skip
def test_npz_refusals(tmp_path, arrays, message):
    with pytest.raises(DatasetError, match=message):
        _load(tmp_path, **arrays)


def test_signals_of_one_channel_may_have_two_axes(tmp_path):
    """Few features are a table's; many are said to be features, and may be said to be signals."""
    x = np.arange(6 * 100.0).reshape(6, 100)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(6) % 2)
    raw = array_files.npz(tmp_path / "x.npz", Layout.AUTO)
    assert raw.parts["train"].values.shape == (6, 100, 1, 1)
    assert any("100 features; with --layout cl as a signal" in note for note in raw.notes)
    raw = array_files.npz(tmp_path / "x.npz", Layout("cl"))
    assert raw.parts["train"].values.shape == (6, 1, 1, 100)
    np.savez(tmp_path / "x.npz", x=x[:, :20], y=np.arange(6) % 2)
    assert not any("features" in note for note in array_files.npz(tmp_path / "x.npz").notes)


def test_a_layout_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot have the layout chw"):
        _load(tmp_path, "chw", x=np.zeros((6, 2, 2)), y=_labels(6))


def test_npz_missing_truncated_or_pickled(tmp_path):
    with pytest.raises(DatasetError, match=r"b\.npz: no such file"):
        datasets.load("b.npz", tmp_path)
    file = tmp_path / "a.npz"
    np.savez(file, x=np.zeros((9, 2, 2)), y=_labels(9))
    whole = file.read_bytes()
    for content in (whole[:-40], whole[:200], b"", b"plain text"):
        file.write_bytes(content)
        with pytest.raises(DatasetError, match=r"a\.npz: "):
            datasets.load("a.npz", tmp_path)
    np.savez(file, x=np.array([{"a": 1}], dtype=object), y=_labels(1))
    with pytest.raises(DatasetError, match=r"expected an \.npz of plain arrays"):
        datasets.load("a.npz", tmp_path)
