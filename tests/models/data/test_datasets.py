"""Data sets are read from every kind of file, split by seed, and damaged files are named."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data import array_files, datasets, image_files
from models.errors import DatasetError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


RNG = np.random.default_rng(0)


# Splits --------------------------------------------------------------------------------------


def test_the_split_of_digits_is_seeded_stratified_and_disjoint():
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


def test_a_class_with_a_single_image_is_refused():
    split = datasets.Split(np.zeros((3, 1, 2, 2), np.uint8), np.array([0, 0, 1]))
    with pytest.raises(DatasetError, match="class 1 has a single image"):
        datasets.stratified(split, 0.2, np.random.default_rng(0))


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(
        DatasetError, match=r"'cifar' is not known: use digits, mnist, fashion-mnist"
    ):
        datasets.load("cifar", tmp_path)


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


def test_idx_files_are_read_plain_and_compressed(tmp_path):
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
        ("t10k-labels-idx1-ubyte", lambda b: b + b"x", "too long: 20 bytes of data expected, 21"),
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


# npz -----------------------------------------------------------------------------------------


def _labels(count: int) -> np.ndarray:
    return np.arange(count) % 3


@pytest.mark.parametrize(
    "x, shape",
    [
        (RNG.integers(0, 256, (30, 6, 5)), (1, 6, 5)),
        (RNG.integers(0, 256, (30, 3, 6, 5)), (3, 6, 5)),
        (RNG.integers(0, 256, (30, 6, 5, 3)), (3, 6, 5)),
        (RNG.random((30, 6, 5)), (1, 6, 5)),
    ],
)
def test_npz_files_are_read_in_every_layout(tmp_path, x, shape):
    np.savez(tmp_path / "own.npz", x=x, y=_labels(30)[:, None])
    dataset = datasets.load("own.npz", tmp_path)
    assert (dataset.name, dataset.shape, dataset.classes) == ("own.npz", shape, 3)
    assert dataset.train.images.max() > 200


def test_an_npz_file_with_a_test_split_keeps_it(tmp_path):
    x = RNG.integers(0, 256, (30, 4, 4), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=_labels(30), x_test=x[:6], y_test=_labels(6))
    dataset = datasets.load(str(tmp_path / "a.npz"))
    np.testing.assert_array_equal(dataset.test.images[:, 0], x[:6])


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.zeros((4, 2, 2))}, r"array y is missing \(found: x\)"),
        ({"images": np.zeros(3)}, "array x_train is missing"),
        ({"x": np.zeros((4, 2)), "y": _labels(4)}, r"x must be \[n, H, W\]"),
        ({"x": np.zeros((4, 7, 8, 9)), "y": _labels(4)}, "must have 1, 3 or 4 channels"),
        (
            {"x": np.full((4, 2, 2), 300), "y": _labels(4)},
            r"integers 0..255 or reals 0..1, not 300",
        ),
        ({"x": np.full((4, 2, 2), -0.5), "y": _labels(4)}, r"reals 0..1, not -0.5"),
        ({"x": np.zeros((4, 2, 2)), "y": _labels(5)}, r"4 labels expected"),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0, 1, -1, 1])}, "label -1 is outside 0..1"),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0.0, 1.0, 1.0, 1.0])}, "must be integers"),
        *(
            ({"x": np.zeros((4, 2, 2)), "y": np.array(labels)}, "y: labels must be integers, not")
            for labels in ([0, 1, 1, np.nan], [0, 1, 1, np.inf], ["a", "b", "a", "b"])
        ),
        (
            {"x": np.full((4, 2, 2), "dark"), "y": np.array([0, 1, 0, 1])},
            "x must be integers 0..255 or reals 0..1, not <U4",
        ),
        (
            {"x": np.full((4, 2, 2), np.nan), "y": np.array([0, 1, 0, 1])},
            "reals 0..1, not nan..nan",
        ),
        ({"x": np.zeros((4, 2, 2)), "y": np.array([0, 2, 2, 0])}, "no image has label 1"),
        ({"x": np.zeros((4, 2, 2)), "y": np.zeros(4, int)}, r"must hold 2..1000 classes"),
        (
            {
                "x_train": np.zeros((6, 2, 2)),
                "y_train": _labels(6),
                "x_test": np.zeros((3, 2, 3)),
                "y_test": _labels(3),
            },
            "x_test .* does not match",
        ),
    ],
)
def test_npz_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DatasetError, match=message):
        datasets.load("a.npz", tmp_path)


def test_npz_files_missing_truncated_or_pickled_are_refused(tmp_path):
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
    with pytest.raises(DatasetError, match=r"not an \.npz file of plain arrays"):
        datasets.load("a.npz", tmp_path)


# CIFAR-10 batches ----------------------------------------------------------------------------


def _batches(folder: Path) -> Path:
    folder.mkdir()
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        data = RNG.integers(0, 256, (20, 3072), dtype=np.uint8)
        content = {b"data": data, b"labels": [n % 10 for n in range(20)]}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return folder


def test_cifar_batches_are_read(tmp_path):
    folder = _batches(tmp_path / "cifar-10-batches-py")
    dataset = datasets.load("cifar10", tmp_path)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (100, 20)
    stored = pickle.loads((folder / "test_batch").read_bytes())[b"data"]
    np.testing.assert_array_equal(dataset.test.images.reshape(20, -1), stored)


class _Evil:
    def __reduce__(self):
        return os.system, ("true",)


HUGE_TUPLE = b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."
"""A pickle with a length of 2^63 - 1: reading it raises MemoryError or OverflowError."""
ENDLESS_INTEGER = b"\x80\x02r\xff\xff\xff\xff."
"""A pickle that stores nothing at index 2^32 - 1 of its memo."""


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "no such file; all six batches are needed"),
        (pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)})[:-50], "truncated, or not a CIFAR"),
        (pickle.dumps({b"data": _Evil(), b"labels": []}), "has no place in a batch"),
        (pickle.dumps({b"data": np.zeros((2, 9)), b"labels": [1, 2]}), r"uint8 \[n, 3072\]"),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 10]}),
            "label 10 is outside 0..9",
        ),
        (b"", "truncated, or not a CIFAR"),
        (HUGE_TUPLE, "truncated, or not a CIFAR"),
        (ENDLESS_INTEGER, "truncated, or not a CIFAR"),
    ],
)
def test_damaged_cifar_batches_are_refused(tmp_path, content, message):
    file = _batches(tmp_path / "b") / "data_batch_3"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        datasets.load("cifar10", tmp_path / "b")


def test_cifar_without_usable_files_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cifar10 needs a data folder"):
        datasets.load("cifar10")
    with pytest.raises(DatasetError, match="nothing usable in"):
        datasets.load("cifar10", tmp_path)


# Image trees ---------------------------------------------------------------------------------


def _tree(folder: Path, parts: tuple[str, ...] = ("train", "test"), size: int = 6) -> Path:
    for part in parts:
        for label in ("cat", "dog"):
            (folder / part / label).mkdir(parents=True)
            for number in range(4):
                pixels = RNG.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{number}.png")
    return folder


def _zip(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder))
    return target


def test_folder_and_zip_hold_the_same(tmp_path):
    folder = _tree(tmp_path / "pets")
    raw = image_files.image_tree(folder)
    zipped = image_files.image_tree(_zip(folder, tmp_path / "pets.zip"))
    np.testing.assert_array_equal(raw.images, zipped.images)
    np.testing.assert_array_equal(raw.labels, [0] * 4 + [1] * 4)
    assert raw.test_images is not None
    assert raw.test_images.shape == (8, 3, 6, 6)
    first = np.asarray(Image.open(folder / "train" / "cat" / "0.png"))
    np.testing.assert_array_equal(raw.images[0], first.transpose(2, 0, 1))
    dataset = datasets.load("pets.zip", tmp_path)
    assert (dataset.name, dataset.classes, len(dataset.test)) == ("pets.zip", 2, 8)


def test_an_image_tree_without_parts_is_split_by_seed(tmp_path):
    _tree(tmp_path / "pets", ("",))
    dataset = datasets.load("pets", tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4, 2, 2)


def test_the_cache_is_used_and_follows_the_files(tmp_path, monkeypatch):
    folder = _tree(tmp_path / "pets")
    before = image_files.image_tree(folder).images
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "_decode", None)
        np.testing.assert_array_equal(image_files.image_tree(folder).images, before)
    Image.new("RGB", (6, 6), (9, 9, 9)).save(folder / "train" / "cat" / "0.png")
    assert image_files.image_tree(folder).images[0].max() == 9
    for file in image_files.cache_dir().iterdir():
        file.write_bytes(b"broken")
    assert image_files.image_tree(folder).images[0].max() == 9


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert len(image_files.image_tree(_tree(tmp_path / "pets")).images) == 8


def _damage_image(folder: Path) -> None:
    file = folder / "train" / "dog" / "2.png"
    file.write_bytes(file.read_bytes()[:60])


def _other_size(folder: Path) -> None:
    Image.new("RGB", (7, 6)).save(folder / "train" / "dog" / "9.png")


def _no_class(folder: Path) -> None:
    Image.new("RGB", (6, 6)).save(folder / "x.png")


def _bomb(folder: Path) -> None:
    """Put an image whose header claims 60,000 x 60,000 pixels: Pillow refuses to allocate it."""
    file = folder / "train" / "dog" / "2.png"
    file.unlink()
    header = struct.pack("<2sIHHI", b"BM", 1000, 0, 0, 54)
    size = struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 900, 0, 0, 0, 0)
    file.with_suffix(".bmp.png").write_bytes(header + size + bytes(900))


@pytest.mark.parametrize(
    "damage, message",
    [
        (_damage_image, r"train/dog/2.png is a corrupt image"),
        (_bomb, r"train/dog/2.bmp.png is a corrupt image"),
        (_other_size, r"train/dog/9.png is \(3, 6, 7\), the others are \(3, 6, 6\)"),
        (_no_class, r"x.png lies in no class folder"),
    ],
)
def test_damaged_trees_name_the_image(tmp_path, damage, message):
    folder = _tree(tmp_path / "pets")
    damage(folder)
    with pytest.raises(DatasetError, match=message):
        image_files.image_tree(folder)
    with pytest.raises(DatasetError, match=message):
        image_files.image_tree(_zip(folder, tmp_path / "pets.zip"))


@pytest.mark.parametrize(
    "offset, value",
    [
        (8, b"\x01\x00"),  # flags of a member: encrypted
        (10, b"\x63\x00"),  # method: 99
        (6, b"\xff\x00"),  # version needed
    ],
)
def test_zips_that_cannot_be_read_are_named(tmp_path, offset, value):
    archive = _zip(_tree(tmp_path / "pets"), tmp_path / "pets.zip")
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + offset : entry + offset + 2] = value
    archive.write_bytes(content)
    with pytest.raises(DatasetError, match=r"pets\.zip: "):
        image_files.image_tree(archive)


def test_missing_broken_and_empty_image_trees_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such image folder or zip"):
        datasets.load("none.zip", tmp_path)
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DatasetError, match="truncated or not a zip file"):
        datasets.load("bad.zip", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="holds no images"):
        datasets.load("empty", tmp_path)
    with pytest.raises(DatasetError, match="no train/<class> folders"):
        image_files.image_tree(_tree(tmp_path / "t", ("test",)))
    with pytest.raises(
        DatasetError, match=r"CIFAR-10 has 10 classes of \(3, 32, 32\) images, not 2"
    ):
        datasets.load("cifar10", _tree(tmp_path / "c"))


def test_a_given_folder_is_the_only_place_looked_in(tmp_path, monkeypatch):
    monkeypatch.setitem(array_files.SYSTEM_DIRS, "fashion-mnist", tmp_path / "system")
    with pytest.raises(DatasetError, match=f"looked in {tmp_path}/mine") as error:
        datasets.load("fashion-mnist", tmp_path / "mine")
    assert "system" not in str(error.value)
    with pytest.raises(DatasetError, match=r"looked in .*system"):
        datasets.load("fashion-mnist")
