"""Build folders from elsewhere run nothing: names and Verilog are data, or are refused.

Real Yosys, Verilator, make and tclsh see the hostile names of tests.hostile.names.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from codesign.cli.main import main
from codesign.fpga import synthesis
from codesign.fpga.placement import netlist_script
from models.files.names import Sources, is_ours
from models.files.reading import FileError
from rtl_gen.package import projects
from sim import run, simulator
from sim.tools import plain
from tests.codesign import small_build
from tests.hostile.names import MARKER, names

EMPTY = "module {}; endmodule\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_build.write(tmp_path_factory.mktemp("foreign") / "build")


@pytest.fixture
def folder(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a build folder, from within an empty folder."""
    shutil.copytree(built, tmp_path / "build")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "build"


def hostile_files() -> dict[str, str]:
    return {f"{name}.v": EMPTY.format(f"m{n}") for n, name in enumerate(names())}


def test_there_are_two_hundred_names() -> None:
    assert len(names()) >= 200
    assert not any("/" in name or "\0" in name for name in names())


def test_files_get_names_of_ours() -> None:
    files = hostile_files() | {"source_0001.v": "", "npu.v": ""}
    sources = Sources.of(files)
    assert all(map(is_ours, sources.texts))
    assert sorted(sources.texts.values()) == sorted(files.values())
    assert len(sources.texts) == len(files)
    assert "npu.v" in sources.texts


@pytest.mark.parametrize("make", [synthesis.script, netlist_script])
def test_scripts_of_yosys_take_plain_names_alone(make) -> None:
    for name in names():
        if not is_ours(f"{name}.v"):
            with pytest.raises(FileError):
                make((f"{name}.v",))
            with pytest.raises(FileError):
                make(("npu.v",), top=name)


def test_tools_read_hostile_files_and_run_nothing(folder: Path) -> None:
    """Yosys and Verilator with make, with all names at once."""
    files = hostile_files() | {"npu.v": "module npu(input a, output b); assign b = a; endmodule\n"}
    found = synthesis.synthesise(files, "npu", cache=False)
    assert found.figures.luts == 0
    program = simulator.build(files, "npu", ["a", "b"])
    assert program.is_file()
    for place in (Path.cwd(), folder, folder.parent):
        assert not list(place.rglob(MARKER))


@pytest.mark.parametrize(
    "name", [f"a;touch {MARKER}.v", f"a\n!touch {MARKER}\n.v", f"$(shell touch {MARKER}).v"]
)
def test_names_in_a_build_folder_run_nothing(folder: Path, name: str, capsys) -> None:
    (folder / "rtl" / name).write_text(EMPTY.format("extra"))
    assert main(["synth", str(folder)]) in (0, 2)
    assert main(["verify", str(folder), "--images", "1"]) in (0, 2)
    assert not list(folder.parent.rglob(MARKER))
    assert "\n!" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "code",
    [
        f'initial $system("touch {MARKER}");',
        f'initial $c("system(\\"touch {MARKER}\\");");',
        f'integer f; initial f = $fopen("{MARKER}", "w");',
        'import "DPI-C" function int system(string s);',
        '`include "/etc/passwd"',
        "/* verilator public_flat */",
        "// synthesis translate_off",
        f'initial $writememh("{MARKER}", memory);',
    ],
)
@pytest.mark.parametrize("forged", [False, True])
def test_verilog_that_is_not_plain_is_refused(
    folder: Path, code: str, forged: bool, capsys
) -> None:
    path = next((folder / "rtl").glob("*.v"))
    path.write_text(path.read_text().replace("endmodule", f"{code}\nendmodule", 1))
    if forged:
        manifest = json.loads((folder / "manifest.json").read_text())
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest["sha256"][f"rtl/{path.name}"] = digest
        (folder / "manifest.json").write_text(json.dumps(manifest))
    for verb in (["verify", "--images", "1"], ["synth"]):
        assert main([verb[0], str(folder), *verb[1:]]) == 2
        error = capsys.readouterr().err
        assert f"rtl/{path.name}: line " in error
        assert "--trust" in error
    assert run.main([str(folder)]) == 2
    assert not list(folder.parent.rglob(MARKER))


@pytest.mark.parametrize(
    "verb", [["synth", "--place"], ["synth", "--flatten"], ["evaluate", "--simulate", "1"]]
)
def test_no_verb_compiles_what_is_not_plain(folder: Path, verb: list[str], capsys) -> None:
    (folder / "rtl" / "more.v").write_text(
        f'module more;\ninitial $system("touch {MARKER}");\nendmodule\n'
    )
    np.savez("data.npz", x=np.zeros((20, 6, 6), np.uint8), y=np.arange(20) % 5)
    options = ["--dataset", "data.npz"] if verb[0] == "evaluate" else []
    assert main([verb[0], str(folder), *verb[1:], *options]) == 2
    error = capsys.readouterr().err
    assert "rtl/more.v: line 2" in error
    assert "--trust" in error
    assert not list(folder.parent.rglob(MARKER))


def test_a_broken_line_is_still_simulated_and_told_before(folder: Path, capsys) -> None:
    """What is plain is compiled, whoever wrote it: a fault must be found, not refused."""
    files = sorted((folder / "rtl").glob("*.v"))
    assert [file.name for file in files if plain.finding(file.read_text())] == []
    file = files[0]
    file.write_text(file.read_text() + "// changed\n")
    assert main(["verify", str(folder), "--images", "1"]) == 0
    error = capsys.readouterr().err
    assert f"changed: {file.name}" in error


def test_project_files_take_plain_names_alone() -> None:
    for name in names():
        for changed in ({"name": name}, {"part": name}, {"top": name}, {"verilog": (f"{name}.v",)}):
            values = {"name": "a", "part": "xc7a50t", "top": "npu", "verilog": ("npu.v",)} | changed
            try:
                target = projects.Target(clock_mhz=100.0, **values)
            except FileError:
                continue
            assert re.fullmatch(r"[\w-]+", name, re.ASCII)
            assert not name.startswith("-")
            assert projects.vivado_tcl(target)


@pytest.mark.parametrize(
    "hidden",
    [
        "// synthesis translate_off\nassign b = a;\n// synthesis translate_on\nassign b = ~a;",
        "/* translate_off */\nassign b = a;\n/* translate_on */\nassign b = ~a;",
        "assign b = ~a; // translate_off",
    ],
)
def test_comments_that_synthesis_obeys_count_in_the_cache(
    hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module counted with such comments is not taken for the one without them."""
    monkeypatch.setenv("CODESIGN_CACHE", str(tmp_path / "cache"))
    start = "module leaf(input a, output b);\n"
    top = "module npu(input a, output b);\nleaf l(a, b);\nendmodule\n"
    shown = re.sub(r"//[^\n]*|/[*].*?[*]/", "", hidden).splitlines()[-1]
    hostile = {"leaf.v": f"{start}{hidden}\nendmodule\n", "npu.v": top}
    plain_files = {"leaf.v": f"{start}{shown}\nendmodule\n", "npu.v": top}
    for files in (hostile, plain_files, hostile):
        fresh = synthesis.synthesise(files, "npu", cache=False)
        assert synthesis.synthesise(files, "npu").figures == fresh.figures
