"""Hostile pictures, arrays and archives: sizes that only headers tell, and what is no file."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

from tests.hostile.cases import CASES, GIGABYTES, bomb, case, npy, png, zipped


def _predict(name: str, file: str, data: Callable[[], bytes]) -> None:
    """A case of one file that is to be classified."""

    def make(folder: Path, build: Path) -> list[str]:
        (folder / file).write_bytes(data())
        return ["predict", str(build), str(folder / file)]

    CASES[name] = make


_predict("x9_picture_of_169_million_pixels", "a.png", lambda: png(13000, 13000))
_predict("x9_picture_header_alone", "a.bmp", lambda: b"BM" + struct.pack(
    "<IHHIIiiHHIIiiII", 100, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0
))  # fmt: skip
_predict("x9_array_header_alone", "a.npy", lambda: npy((1 << 20, 1 << 20)))
_predict("x9_array_of_negative_sides", "a.npy", lambda: npy((-1, -8), data=bytes(8)))
_predict("x9_text_of_many_letters", "a.npy", lambda: npy((9,), "<U999999999"))
_predict("x11_array_of_objects", "a.npy", lambda: npy((1,), "|O", pickle.dumps([1])))
_predict("x11_array_of_records", "a.npy", lambda: npy((1,), [("a", "<i4")], bytes(4)))  # type: ignore[arg-type]
_predict("x11_array_header_of_code", "a.npy", lambda: npy((1,), "|u1'*9**9**9+'", b"0"))
_predict("x11_deep_array_header", "a.npy", lambda: npy((1,), "(" * 5000, b"0"))


@case
def x9_array_of_four_gigabytes(folder: Path, build: Path) -> list[str]:
    path = bomb(folder / "a.npz", "x.npy", npy((1 << 32,)), GIGABYTES)
    return ["predict", str(build), str(path)]


@case
def x9_pictures_in_a_zip(folder: Path, build: Path) -> list[str]:
    one = png(13000, 13000)
    members = {f"{kind}/{n}.png": one for kind in "ab" for n in range(4)}
    return ["evaluate", str(build), "--dataset", str(zipped(folder / "a.zip", members))]


@case
def x9_many_pictures_within_the_limit(folder: Path, build: Path) -> list[str]:
    one = png(6000, 6000)
    members = {f"{kind}/{n}.png": one for kind in "ab" for n in range(20)}
    return ["evaluate", str(build), "--dataset", str(zipped(folder / "a.zip", members))]


@case
def x9_idx_that_unpacks_to_gigabytes(folder: Path, build: Path) -> list[str]:
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(bytes((0, 0, 8, 3)) + struct.pack(">III", 1 << 10, 1 << 11, 1 << 11))
        file.write(bytes(1 << 20))
    (folder / "train-labels-idx1-ubyte").write_bytes(bytes((0, 0, 8, 1, 0, 0, 0, 0)))
    data = ["--dataset", "mnist", "--data-dir", str(folder)]
    return ["evaluate", str(build), *data]


@case
def x9_vectors_that_unpack_to_gigabytes(folder: Path, build: Path) -> list[str]:
    bomb(build / "vectors" / "inputs.npz", "codes.npy", npy((1 << 25, 1, 6, 6)), GIGABYTES)
    return ["verify", str(build)]


@case
def x10_pipe_among_pictures(folder: Path, build: Path) -> list[str]:
    for kind in "ab":
        (folder / kind).mkdir()
        (folder / kind / "0.png").write_bytes(png(6, 6))
    os.mkfifo(folder / "a" / "1.png")
    return ["evaluate", str(build), "--dataset", str(folder)]


@case
def x10_zero_among_pictures(folder: Path, build: Path) -> list[str]:
    for kind in "ab":
        (folder / kind).mkdir()
        (folder / kind / "0.png").write_bytes(png(6, 6))
    (folder / "b" / "1.png").symlink_to("/dev/zero")
    return ["evaluate", str(build), "--dataset", str(folder)]


@case
def x10_zero_as_verilog(folder: Path, build: Path) -> list[str]:
    (build / "rtl" / "more.v").symlink_to("/dev/zero")
    return ["verify", str(build)]


@case
def x10_pipe_as_verilog(folder: Path, build: Path) -> list[str]:
    os.mkfifo(build / "rtl" / "more.v")
    return ["synth", str(build)]
