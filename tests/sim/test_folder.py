"""A build folder with a missing or damaged file is refused with an error that names the file."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from sim.folder import FolderError, read
from tests.codesign import small_build

INPUTS = "vectors/inputs.npz"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("folder") / "small")


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "small"))


def refused(folder: Path, name: str) -> str:
    """Return the message of the FolderError with which the folder is refused; it names the file."""
    with pytest.raises(FolderError) as caught:
        read(folder)
    assert str(folder / name) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["program.json", "program.hex", "mem/weights.hex", INPUTS, "vectors/expected.npz"]
)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, name)


@pytest.mark.parametrize("name", ["program.json", "program.hex", INPUTS, "vectors/expected.npz"])
def test_an_empty_file_is_named(folder, name):
    """An empty weight image is none: the weights of some networks are all fetched."""
    (folder / name).write_bytes(b"")
    refused(folder, name)


def test_a_damaged_npz_is_refused_or_read(folder):
    """Of single flipped bits numpy misses some; it must not end in another error."""
    good, rng = (folder / INPUTS).read_bytes(), random.Random(1)
    for _ in range(300):
        damaged = bytearray(good)
        damaged[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        (folder / INPUTS).write_bytes(damaged)
        with contextlib.suppress(FolderError):
            read(folder)
    (folder / INPUTS).write_bytes(good[: len(good) // 2])
    refused(folder, INPUTS)


def test_inputs_without_codes_are_refused(folder):
    np.savez(folder / INPUTS, images=np.zeros(3, np.uint8))
    assert "codes" in refused(folder, INPUTS)


@pytest.mark.parametrize("shape", [(0, 1, 6, 6), (0,)])
def test_a_folder_without_images_is_refused(folder, shape):
    np.savez(folder / INPUTS, codes=np.zeros(shape, np.uint8))
    assert "holds no images" in refused(folder, INPUTS)


@pytest.mark.parametrize("key", ["hardware", "tensors", "input", "output", "programs", "memory"])
def test_a_missing_key_of_program_json_is_named(folder, key):
    program = json.loads((folder / "program.json").read_text())
    del program[key]
    (folder / "program.json").write_text(json.dumps(program))
    assert f"missing key {key}" in refused(folder, "program.json")


def test_a_value_of_another_type_in_program_json_is_refused(folder):
    program = json.loads((folder / "program.json").read_text())
    program["hardware"] = [1]
    (folder / "program.json").write_text(json.dumps(program))
    refused(folder, "program.json")


def test_a_program_json_without_the_normal_program_is_refused(folder):
    program = json.loads((folder / "program.json").read_text())
    del program["programs"]["normal"]
    (folder / "program.json").write_text(json.dumps(program))
    assert "normal" in refused(folder, "program.json")


@pytest.mark.parametrize("word", ["123456789", "-1", "xyz"])
def test_a_word_that_is_not_32_bits_is_refused(folder, word):
    file = folder / "mem" / "weights.hex"
    first, *others = file.read_text().splitlines()
    file.write_text("\n".join([" ".join([word, *first.split()[1:]]), *others]))
    refused(folder, "mem/weights.hex")
