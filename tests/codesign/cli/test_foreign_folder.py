"""Commands that are run inside a folder from elsewhere import none of the modules in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codesign import small_build
from tests.paths import ROOT

ROOMS = ("models", "rtl_gen", "sim")
MODULES = (
    *sorted(name for name in sys.stdlib_module_names if not name.startswith("__")),
    *("torch", "numpy", "yaml", "optuna", "amaranth", "pyosys", "cocotb", "scipy", "PIL"),
)
HOSTILE = "open({!r}, 'a').write(__name__ + '\\n')\nraise ImportError('of the folder')\n"
SCRIPT = "import sys\nfrom codesign.cli import main\nsys.exit(main())\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("foreign") / "build")


@pytest.fixture
def foreign(built, tmp_path) -> Path:
    """A build folder in which every module that a command imports lies, too, and tells if it is."""
    folder = shutil.copytree(built, tmp_path / "foreign")
    code = HOSTILE.format(str(tmp_path / "ran"))
    for name in MODULES:
        (folder / f"{name}.py").write_text(code)
    for name in ROOMS:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "__init__.py").write_text(code)
    for file in (folder / "sim").glob("*.py"):
        file.write_text(code)
    return folder


def run(command: list[str], folder: Path) -> tuple[int, str, str]:
    """Run a command in the folder; return its exit status, stderr and the modules that ran."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    ran = folder.parent / "ran"
    return done.returncode, done.stderr, ran.read_text() if ran.exists() else ""


@pytest.mark.parametrize("way", ["module", "safe module", "script"])
@pytest.mark.parametrize("verb", [["verify", ".", "--images", "1"], ["synth", "."]])
def test_commands_run_nothing_of_the_current_folder(foreign, way, verb):
    """Nor a ``codesign`` there, but with plain ``python -m``, which finds that before ours."""
    start = ["-m", "codesign.cli"]
    if way != "module":
        shutil.copytree(foreign / "rtl_gen", foreign / "codesign")
    if way == "safe module":
        start = ["-P", *start]
    if way == "script":
        script = foreign.parent / "bin" / "codesign"
        script.parent.mkdir()
        script.write_text(SCRIPT)
        start = [str(script)]
    status, told, ran = run([sys.executable, *start, *verb], foreign)
    assert ran == ""
    assert status == 0, told


def test_the_bench_of_another_folder_runs_nothing_either(foreign, built):
    status, told, ran = run(
        [sys.executable, str(built / "sim" / "run.py"), str(built), "--images", "1"], foreign
    )
    assert ran == ""
    assert status == 0, told


def test_workers_run_nothing_of_the_current_folder(foreign):
    """They are Python processes of their own, which look for the standard library there."""
    code = (
        "import sys; del sys.path[0]\n"
        "import operator\nfrom codesign.tools import workers\n"
        "print(sorted(workers.spread(operator.neg, [1, 2, 3], 2)))\n"
    )
    status, told, ran = run([sys.executable, "-c", code], foreign)
    assert ran == ""
    assert status == 0, told


def test_the_modules_would_tell(foreign):
    """So the tests above can fail."""
    status, _, ran = run([sys.executable, "-c", "import torch"], foreign)
    assert (status, ran) == (1, "torch\n")
    shutil.copytree(foreign / "rtl_gen", foreign / "codesign")
    _, _, ran = run([sys.executable, "-m", "codesign.cli"], foreign)
    assert ran == "torch\ncodesign\n", "docs/security.md says so: Python finds it before us"
