"""Files from elsewhere end in one clear sentence: each of tests/hostile, through the commands."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codesign.cli import main
from tests import hostile
from tests.codesign import small_build
from tests.paths import ROOT

MOST_SECONDS = 5.0
"""Of processor time, so that other work on the machine fails no test."""
MOST_BYTES = 1 << 30
LIMITED = (
    "x4_dtype_from_the_file", "x8_nested_aliases", "x9_pictures_in_a_zip",
    "x11_program_of_many_lists", "x8_products_of_constants", "x9_weights_shared_by_many_tensors",
)  # fmt: skip
"""Cases that are measured, too, each in a process of its own."""


@pytest.fixture(scope="module", autouse=True)
def _imported():
    """What takes seconds to import is not measured."""
    for name in ("codesign.explore", "models.training.trained"):
        importlib.import_module(name)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return small_build.write(tmp_path_factory.mktemp("good") / "build")


@pytest.fixture
def arguments(good, tmp_path, request):
    """The command of the case that the test is called with."""
    build, files = tmp_path / "build", tmp_path / "files"
    shutil.copytree(good, build)
    files.mkdir()
    return hostile.CASES[request.param](files, build)


def _everything(folder: Path) -> dict[str, bytes | None]:
    """Content of all files below a folder by path; links and folders None."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("arguments", sorted(hostile.CASES), indirect=True)
def test_hostile_files_are_refused_in_a_sentence(arguments, tmp_path, capsys):
    before = _everything(tmp_path)
    start = time.process_time()
    status = main(arguments)
    seconds = time.process_time() - start
    out, err = capsys.readouterr()
    assert status == 2, err
    # An import says what became of each node, also where it then is refused.
    assert out == "" or arguments[0] == "import"
    told = [line for line in err.splitlines() if line.startswith("codesign: error: ")]
    assert len(told) == 1
    assert len(err) < 2500, len(err)
    assert all(character.isprintable() or character == "\n" for character in out + err)
    assert "secret-hash:19000:0:99999:7::: # private" not in err
    assert "second line" not in err
    assert seconds < MOST_SECONDS
    after = _everything(tmp_path)
    assert {name: after.get(name, b"gone") for name in before} == before


@pytest.mark.parametrize("name", LIMITED)
def test_hostile_files_take_little_time_and_memory(good, tmp_path, name):
    build, files = tmp_path / "build", tmp_path / "files"
    shutil.copytree(good, build)
    files.mkdir()
    command = hostile.CASES[name](files, build)
    code = (
        "import re, sys, time; from codesign.cli import main; status = main(sys.argv[1:]); "
        "print(re.search('VmHWM:(.*)kB', open('/proc/self/status').read())[1]); "
        "print(time.process_time()); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    kibibytes, seconds = done.stdout.splitlines()[-2:]
    assert int(kibibytes) << 10 < MOST_BYTES  # ru_maxrss is its parent's, too
    assert float(seconds) < 3 * MOST_SECONDS  # most of it are the imports


def test_the_good_folder_is_not_refused(good, tmp_path, capsys):
    assert main(["report", str(good), "--out", str(tmp_path / "report.html")]) == 0
