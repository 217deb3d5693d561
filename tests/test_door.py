"""Files that a user named are opened by models.files alone; the sources are read for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("models", "rtl_gen", "sim", "codesign")
DOOR = "models/files/"
READERS = {
    "open", "read_text", "read_bytes", "write_text", "write_bytes", "memmap", "fromfile",
    "genfromtxt", "loadtxt", "fdopen", "mmap", "TextIOWrapper",
}  # fmt: skip
"""Names that open or read a file, whatever they are attributes of."""
OF_MODULES = {
    "np": {"load", "save", "savez", "savez_compressed"},
    "json": {"load", "loads"},
    "pickle": {"load", "loads", "Unpickler"},
    "torch": {"load"},
    "csv": {"reader", "DictReader"},
    "yaml": {"load", "safe_load", "load_all", "SafeLoader"},
    "zipfile": {"ZipFile", "is_zipfile"},
    "gzip": {"open"},
    "tarfile": {"open"},
    "Image": {"open"},
    "tomllib": {"load", "loads"},
    "shutil": {"copy", "copyfile", "copytree", "unpack_archive"},
}
REASONS = {
    # Writing into folders that the caller made, under names of ours.
    "codesign/build/verification.py": "writes vectors to a copy of a build folder",
    "sim/cache.py": "locks of entries, and new ones in a temporary folder",
    "sim/simulator.py": "writes the simulator's sources to a folder of its own",
    # Our own temporary files, and results of tools that we started in folders of their own.
    "codesign/tools/processes.py": "a tool's inputs and result, in a temporary folder",
    "codesign/fpga/placement.py": "the result of nextpnr, by codesign.tools.processes",
    "codesign/fpga/synthesis.py": "the result of Yosys, by codesign.tools.processes",
    "sim/harness.py": "appends outcomes to the file that sim.run named",
    "sim/options.py": "options that sim.run gives to the simulator process",
    "sim/run.py": "outcomes of the simulator process, in a temporary folder",
    # Atomic files are opened by models.files; these fill them.
    "models/integer/files.py": "fills an atomic file",
    "models/data/image_files.py": "fills an atomic file of the cache",
    # Descriptors of locks and of a closed standard output.
    "codesign/tools/locks.py": "the lock file, which must be no link (check_own)",
    "codesign/cli/main.py": "/dev/null in place of a closed pipe",
    "codesign/search/storage.py": "the lock of a journal, which must be no link (O_NOFOLLOW)",
    # Methods of ours of that name.
    "codesign/search/store.py": "StudyPlace.open opens a study by Optuna",
    "codesign/search/studies.py": "StudyPlace.open opens a study by Optuna",
    "codesign/explore/run.py": "SearchFolder.open opens no file",
    "codesign/explore/settings.py": "brings its own settings to JSON's types",
    # Files of this installation.
    "codesign/build/carried.py": "copies of our sources",
    "codesign/cost/area/model_file.py": "our sources, for the key of the cache",
    "codesign/cost/cycles/compiled.py": "our sources, for the key of the cache",
    "codesign/report/page.py": "our style sheet",
    "models/training/choices.py": "what Linux says of the CPU",
    "rtl_gen/emit.py": "our Verilog",
}  # fmt: skip
"""File outside the door -> why what it opens is not named by a user."""


def opens(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of every use in a source of something that opens or reads files."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name) and node.id == "open":
            yield node.lineno, "open"
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        if node.attr in OF_MODULES.get(owner, ()):
            yield node.lineno, f"{owner}.{node.attr}"
        elif node.attr in READERS and owner not in ("reading", "self"):
            yield node.lineno, node.attr


def _sources() -> dict[str, str]:
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def test_only_the_door_opens_files_that_a_user_named() -> None:
    found = {
        name: list(opens(source))
        for name, source in _sources().items()
        if not name.startswith(DOOR) and list(opens(source))
    }
    assert {name: uses for name, uses in found.items() if name not in REASONS} == {}
    assert REASONS.keys() - found.keys() == set(), "a reason without a file"


@pytest.mark.parametrize(
    "source",
    [
        "open('a')", "path.read_text()", "np.load(path)", "json.loads(text)", "x = yaml.SafeLoader",
        "with Image.open(path): pass", "torch.load(path)", "zipfile.ZipFile(path)",
    ],
)  # fmt: skip
def test_the_rule_itself_can_fail(source: str) -> None:
    assert list(opens(source))


def test_what_writes_is_no_reader() -> None:
    assert list(opens("json.dumps(x); atomic_file(path); reading.read_text(path)")) == []


def test_build_folders_carry_the_door_itself(tmp_path: Path) -> None:
    from tests.codesign import small_build

    build = small_build.write(tmp_path / "build")
    for name in ("reading", "forms", "zips", "arrays", "names"):
        door = (ROOT / DOOR / f"{name}.py").read_bytes()
        for user in ("sim", "driver"):
            assert (build / user / "files" / f"{name}.py").read_bytes() == door
