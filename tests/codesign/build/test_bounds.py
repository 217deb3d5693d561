"""What a build folder may take of time: memory images of the NPU's sizes, ``--timeout``.

A limit stops compiling and running alike, of every verb that starts tools, and leaves no process.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from codesign.cli import main
from codesign.fpga import synthesis
from sim import run
from tests.codesign import named_build, small_build
from tests.processes import all_gone, children

ROWS = 300_000
SECONDS = 5.0
IMAGES = ("mem/weights.hex", "mem/channels.hex", "program.hex")


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("bounds") / "build")


@pytest.fixture
def folder(built, tmp_path) -> Path:
    return shutil.copytree(built, tmp_path / "build")


def refused(folder: Path, capsys, command: tuple[str, ...] = ("verify",)) -> str:
    """Run a verb that must refuse the folder at once; return its message."""
    start = time.monotonic()
    assert main([command[0], str(folder), *command[1:]]) == 2
    assert time.monotonic() - start < SECONDS
    return capsys.readouterr().err


def forge(folder: Path, name: str, **values: int) -> None:
    path = folder / "program.json"
    program = json.loads(path.read_text())
    (program if name == "memory" else program["hardware"])[name].update(values)
    path.write_text(json.dumps(program))


@pytest.mark.parametrize("file", IMAGES)
def test_an_image_larger_than_its_memory_is_refused(folder, capsys, file):
    row = (folder / file).read_text().splitlines()[0]
    (folder / file).write_text(f"{row}\n" * ROWS)
    assert Path(file).name in refused(folder, capsys)
    with pytest.raises(run.FolderError, match=Path(file).name):
        run.simulate(folder, run.Request())


@pytest.mark.parametrize("file", IMAGES)
def test_a_memory_larger_than_the_design_says_is_refused(folder, capsys, file):
    row = (folder / file).read_text().splitlines()[0]
    (folder / file).write_text(f"{row}\n" * ROWS)
    name = Path(file).stem
    forge(folder, name, words=ROWS)
    assert f"program.json: hardware.{name}: must be" in refused(folder, capsys)


def test_external_memory_of_an_npu_without_a_port_is_refused(folder, capsys):
    forge(folder, "memory", words=(1 << 28) - 1)
    assert "memory.words: must be 0" in refused(folder, capsys)


def test_evaluate_knows_the_memories_too(tmp_path, capsys):
    build = named_build.write(tmp_path)
    forge(build, "channels", words=ROWS)
    assert "hardware.channels" in refused(build, capsys, ("evaluate", "--data-dir", str(tmp_path)))


@pytest.mark.parametrize("verb", ["verify", "evaluate"])
def test_the_limit_stops_the_compilation(verb, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    build = named_build.write(tmp_path)
    more = ["--data-dir", str(tmp_path), "--simulate", "1"] if verb == "evaluate" else []
    start = time.monotonic()
    assert main([verb, str(build), *more, "--timeout", "1", "--json"]) == 1
    assert time.monotonic() - start < 1 + SECONDS
    shown = capsys.readouterr()
    late = "simulation took more than the 1 s allowed, and was stopped"
    assert f"error: {late}\n" in shown.err
    answer = json.loads(shown.out)
    assert answer == {"error": late} if verb == "verify" else answer["simulated"]["error"] == late
    assert all_gone(children(os.getpid()))
    assert list((tmp_path / "cache").rglob("*.tmp")) == []


def test_the_limit_stops_a_simulation_that_has_begun(folder, capsys):
    """All its processes, which would take minutes."""
    run.simulate(folder, run.Request(images=1))  # the simulator is in the cache now
    command = ["--images", "8", "--stalls", "0.9", "--hardware", "--jobs", "3", "--timeout", "2"]
    assert main(["verify", str(folder), *command]) == 1
    assert "simulation took more than the 2 s allowed" in capsys.readouterr().err
    assert all_gone(children(os.getpid()))


def test_the_limit_stops_a_synthesis(folder, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    assert main(["synth", str(folder), "--timeout", "1"]) == 1
    assert "synth took more than the 1 s allowed, and was stopped" in capsys.readouterr().err
    assert all_gone(children(os.getpid()))


def test_the_limit_is_one_for_all_tools(folder, monkeypatch):
    """Each step gets what the ones before have left, and none starts once nothing is."""
    given: list[float] = []

    def slow(verilog, *, timeout_s: float, **options) -> SimpleNamespace:
        given.append(timeout_s)
        time.sleep(1.2)
        return SimpleNamespace()

    monkeypatch.setattr(synthesis, "synthesise", slow)
    assert main(["synth", str(folder), "--flatten", "--timeout", "1"]) == 1
    assert len(given) == 1
    with pytest.raises(AttributeError):  # both steps were run, and their result is none
        main(["synth", str(folder), "--flatten", "--timeout", "60"])
    assert given[1] > given[2] + 1


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_is_a_time(folder, capsys, value):
    for verb in ("verify", "synth", "evaluate"):
        assert main([verb, str(folder), f"--timeout={value}"]) == 2
        assert "--timeout" in capsys.readouterr().err
    if value != "soon":
        assert run.main([str(folder), f"--timeout={value}"]) == 2
        assert "time" in capsys.readouterr().err
