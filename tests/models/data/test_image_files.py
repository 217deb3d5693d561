"""Image folders and zips of them: the same arrays, cached, and damaged ones named."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.data import datasets, image_files
from models.errors import DatasetError

RNG = np.random.default_rng(0)


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
    np.testing.assert_array_equal(raw.parts["train"].values, zipped.parts["train"].values)
    np.testing.assert_array_equal(raw.parts["train"].labels, [0] * 4 + [1] * 4)
    assert raw.parts["test"].values.shape == (8, 3, 6, 6)
    first = np.asarray(Image.open(folder / "train" / "cat" / "0.png"))
    np.testing.assert_array_equal(raw.parts["train"].values[0], first.transpose(2, 0, 1))
    dataset = datasets.load("pets.zip", tmp_path)
    assert (dataset.name, dataset.classes, len(dataset.test)) == ("pets.zip", 2, 8)


def test_backslashes_between_the_folders_of_a_zip_are_read(tmp_path):
    """Some programs of Windows write them; beside slashes they belong to names."""
    folder = _tree(tmp_path / "pets")
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in folder.rglob("*.png"):
            info = zipfile.ZipInfo()
            info.filename = str(file.relative_to(folder)).replace("/", "\\")
            archive.writestr(info, file.read_bytes())
    raw = image_files.image_tree(tmp_path / "pets.zip")
    assert raw.class_names == ("cat", "dog")
    for part, expected in image_files.image_tree(folder).parts.items():
        np.testing.assert_array_equal(raw.parts[part].values, expected.values)
    with zipfile.ZipFile(tmp_path / "pets.zip", "a") as archive:
        archive.writestr("other/file.txt", b"")
    with pytest.raises(DatasetError, match="lies in no class folder"):
        image_files.image_tree(tmp_path / "pets.zip")


def test_tree_without_parts_is_split_by_seed(tmp_path):
    _tree(tmp_path / "pets", ("",))
    dataset = datasets.load("pets", tmp_path)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (4, 2, 2)


def _first(folder: Path, cache: Path | None) -> np.ndarray:
    return image_files.image_tree(folder, cache=cache).parts["train"].values[0]


def test_cache_is_used_and_follows_the_files(tmp_path, monkeypatch):
    folder, cache = _tree(tmp_path / "pets"), tmp_path / "cache"
    before = _first(folder, cache)
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "_load", None)
        np.testing.assert_array_equal(_first(folder, cache), before)
        patch.setattr(image_files, "LOADER_VERSION", 99)
        with pytest.raises(TypeError):  # arrays of another loader are not read
            _first(folder, cache)
    Image.new("RGB", (6, 6), (9, 9, 8)).save(folder / "train" / "cat" / "0.png")
    assert _first(folder, cache).max() == 9
    for file in cache.iterdir():
        file.write_bytes(b"broken")
    assert _first(folder, cache).max() == 9


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert _first(_tree(tmp_path / "pets"), blocked / "cache").shape == (3, 6, 6)


def _damage_image(folder: Path) -> None:
    file = folder / "train" / "dog" / "2.png"
    file.write_bytes(file.read_bytes()[:60])


def _other_size(folder: Path) -> None:
    Image.new("RGB", (7, 6)).save(folder / "train" / "dog" / "9.png")


def _no_class(folder: Path) -> None:
    Image.new("RGB", (6, 6)).save(folder / "x.png")


def _empty(folder: Path) -> None:
    (folder / "train" / "dog" / "2.png").write_bytes(b"")


def _bomb(folder: Path) -> None:
    """A header of 60,000 x 60,000 pixels: Pillow refuses to allocate that."""
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
        (_empty, r"train/dog/2.png is a corrupt image \(of no known kind\)"),
        (_other_size, r"train/dog/9.png has 6x7 pixels .*, those before it 6x6; --resize"),
        (_no_class, r"train and x.png lie|x.png lies in no class folder"),
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


def test_links_to_folders_are_refused_rather_than_left_out(tmp_path):
    folder = _tree(tmp_path / "pets")
    (folder / ".cache").symlink_to(folder / "test")
    image_files.image_tree(folder)
    (folder / "train" / "cow").symlink_to(folder / "train" / "dog")
    with pytest.raises(DatasetError, match="train/cow is a link to a folder"):
        image_files.image_tree(folder)


def test_trees_that_are_none(tmp_path):
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
