"""Arrays and archives: everything that numpy writes is read, and what headers claim is checked."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from models.files import arrays, reading, zips
from models.files.reading import FileError
from tests.hostile.cases import GIGABYTES, bomb, npy

NAMES = ("u1", "<i2", ">i4", "i8", "f2", "f4", ">f8", "?", "S3", "<U2")
KINDS = st.sampled_from([np.dtype(name) for name in NAMES])


@given(arrays_of.arrays(KINDS, arrays_of.array_shapes(min_dims=0, min_side=0)), st.booleans())
def test_what_numpy_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, columns_first: bool
) -> None:
    path = tmp_path_factory.mktemp("a") / "a.npy"
    kept = np.asarray(array, order="F" if columns_first else "C")
    np.save(path, kept)
    found = arrays.read_npy(path)
    assert found.dtype == kept.dtype
    assert found.shape == kept.shape
    assert found.tobytes() == kept.tobytes()
    np.savez_compressed(path.with_suffix(".npz"), x=kept, y=np.arange(3))
    both = arrays.read_npz(path.with_suffix(".npz"))
    assert both["x"].tobytes() == kept.tobytes()
    assert both["y"].tolist() == [0, 1, 2]
    both["y"][0] = 7  # arrays may be written to


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy((4,), data=bytes(3)), "truncated: 4 bytes of data expected, 3 found"),
        (npy((4,), data=bytes(5)), "too long: 4 bytes of data expected, 5 found"),
        (npy((1 << 30,)), "truncated"),
        (npy((1 << 40,)), "not an array of numbers"),
        (npy((0, 1 << 62)), "not an array of numbers"),
        (npy((-1,)), "not an array of numbers"),
        (npy((1,), "|O", bytes(8)), "values of type object"),
        (npy((1,), "<c8", bytes(8)), "values of type complex64"),
        (npy((1,), "<M8[s]", bytes(8)), "values of type datetime64"),
        (npy((1,) * 40, data=bytes(1)), "not an array of numbers"),
        (b"\x93NUMPY\x09\x00" + bytes(20), "format"),
        (b"", "not an array of numbers"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(FileError, match=message):
        arrays.read_npy(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", data)
    with pytest.raises(FileError, match=message):
        arrays.read_npz(tmp_path / "a.npz")


def test_sizes_are_checked_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bomb(tmp_path / "a.npz", "x.npy", npy((GIGABYTES,)), GIGABYTES)
    with pytest.raises(FileError, match=r"takes 4 GiB of memory, more than the 2 GiB"):
        arrays.read_npz(path)
    np.savez(path, x=np.zeros(1000))
    monkeypatch.setenv(reading.MEMORY_VARIABLE, "5K")
    with pytest.raises(FileError, match="more than the 5 KiB"):
        arrays.read_npz(path)


def test_archives_with_tricks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", b"2")
    with pytest.raises(FileError, match="two files of one name"), zips.opened_zip(path):
        pass
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", b"1")
    with zips.opened_zip(path) as found, pytest.raises(FileError, match="another method"):
        found.read("a", 9)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"12345")
    with zips.opened_zip(path) as found:
        assert found.read("a", 5) == b"12345"
        with pytest.raises(FileError, match="a takes 5 bytes, more than the 4 bytes"):
            found.read("a", 4)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"12345")] ^= 1
    with (
        zips.archive(io.BytesIO(bytes(damaged)), "a.zip") as found,
        pytest.raises(FileError, match="truncated or damaged"),
    ):
        found.read("a", 9)
