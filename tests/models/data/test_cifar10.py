"""CIFAR-10's python batches, and pickles that are something else."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data import datasets
from models.data.cifar10 import CLASSES
from models.errors import DatasetError
from models.training.choices import TrainingChoices

RNG = np.random.default_rng(0)


def _batches(folder: Path) -> Path:
    folder.mkdir()
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        data = RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
        content = {b"data": data, b"labels": [n % 10 for n in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def test_cifar_batches(tmp_path):
    folder = _batches(tmp_path / "cifar-10-batches-py")
    dataset = datasets.load("cifar10", tmp_path)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (100, 20)
    stored = pickle.loads((folder / "test_batch").read_bytes())[b"data"]
    np.testing.assert_array_equal(dataset.test.images.reshape(20, -1), stored)


def test_binary_batches_hold_the_same(tmp_path):
    folder, binary = _batches(tmp_path / "py"), tmp_path / "cifar-10-batches-bin"
    binary.mkdir()
    for file in folder.iterdir():
        batch = pickle.loads(file.read_bytes())
        labels = np.array(batch[b"labels"], np.uint8)
        rows = np.hstack([labels[:, None], batch[b"data"]])
        (binary / f"{file.name}.bin").write_bytes(rows.tobytes())
    one, other = datasets.load("cifar10", folder), datasets.load("cifar10", tmp_path)
    np.testing.assert_array_equal(one.train.images, other.train.images)
    np.testing.assert_array_equal(one.test.labels, other.test.labels)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_batches_of_every_binary_protocol_are_read(tmp_path, protocol):
    folder = _batches(tmp_path / "b")
    for file in folder.iterdir():
        file.write_bytes(pickle.dumps(pickle.loads(file.read_bytes()), protocol))
    assert datasets.load("cifar10", folder).shape == (3, 32, 32)


def test_a_batch_of_python_2_is_read(tmp_path):
    """As the original files were written: byte strings, and the array's bytes in one of them."""
    pixels = RNG.integers(0, 256, 20 * 3072, dtype=np.uint8).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02K\x00\x85U\x01bt"
        b"Rq\x03(K\x01K\x14M\x00\x0c\x86cnumpy\ndtype\nq\x04(U\x02u1K\x00K\x01tRq\x05"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(pixels).to_bytes(4, "little") + pixels + b"tb"
    )  # fmt: skip
    labels = b"]q\x06(" + b"".join(b"K" + bytes([n % 10]) for n in range(20)) + b"e"
    data = b"\x80\x02}q\x00(U\x04data" + array + b"U\x06labels" + labels + b"u."
    folder = _batches(tmp_path / "b")
    (folder / "test_batch").write_bytes(data)
    found = datasets.load("cifar10", folder).test.images
    assert found.tobytes() == pixels


class _Evil:
    def __reduce__(self):
        return os.system, ("true",)


HUGE_TUPLE = b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."
"""A damaged length: bytes of 2^63 - 1. Unpickling raises MemoryError or OverflowError."""
ENDLESS_INTEGER = b"\x80\x02r\xff\xff\xff\xff."
"""Puts nothing at index 2^32 - 1 of the memo."""


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no such file; all six batches are needed"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)})[:-50], "truncated, or not a CIFAR"),
        (pickle.dumps({b"data": _Evil(), b"labels": []}), "has no place in it"),
        (pickle.dumps({b"data": np.zeros((2, 9)), b"labels": [1, 2]}), "arrays must be of bytes"),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}),
            "label 10 is outside 0..9",
        ),
        (b"", "truncated, or not a CIFAR"),
        (HUGE_TUPLE, "truncated, or not a CIFAR"),
        (ENDLESS_INTEGER, "truncated, or not a CIFAR"),
    ],
)
def test_damaged_cifar_batches(tmp_path, content, message):
    file = _batches(tmp_path / "b") / "data_batch_3"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        datasets.load("cifar10", tmp_path / "b")


def test_cifar_without_usable_files(tmp_path):
    with pytest.raises(DatasetError, match="cifar10 needs a data folder"):
        datasets.load("cifar10")
    with pytest.raises(DatasetError, match="nothing usable in"):
        datasets.load("cifar10", tmp_path)


@pytest.mark.parametrize(
    "last, side, kind",
    [("truck", 32, "shift+mirror"), ("lorry", 32, "none"), ("truck", 28, "none")],
)
def test_pictures_of_its_classes_are_changed_as_it_is(tmp_path, last, side, kind):
    """A path may hold the set that has a name; other classes or sizes are a user's own."""
    for name in (*CLASSES[:-1], last):
        folder = tmp_path / "set" / "train" / name
        folder.mkdir(parents=True)
        for number in range(3):
            pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    dataset = datasets.load(str(tmp_path / "set"))
    assert dataset.augmentation == kind
    assert dataset.known_as == ("cifar10" if kind != "none" else None)
    assert not any("cifar10" in note for note in dataset.notes)  # reading trains nothing
    said = TrainingChoices().notes(dataset)
    assert any(
        f"cifar10's: training changes images as there (--augment {kind})" in note for note in said
    ) == (kind != "none")
    assert TrainingChoices(augment="none").notes(dataset) == ()
