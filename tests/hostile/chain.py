"""Hostile names on every way that a name from elsewhere takes; ``make names``.

``python -m tests.hostile.chain [--every N]`` prints for each way how many names were refused in a
sentence and how many were harmless; it fails on a name that ran, wrote or broke something.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from codesign import design as designs
from codesign.build import build_folder
from codesign.cli.main import main
from models.data import datasets
from tests.codesign import small_build
from tests.hostile.cases import png
from tests.hostile.names import MARKER, names

REFUSED, HARMLESS = "refused", "harmless"
MOST_SAID = 2500
"""Most characters of an answer to a bad name."""
TCL = """\
proc read_verilog files {foreach file $files {if {![file isfile $file]} {error $file}}}
proc read_xdc file {if {![file isfile $file]} {error $file}}
foreach name {synth_design report_utilization opt_design place_design phys_opt_design
              route_design report_timing_summary write_checkpoint} {proc $name args {}}
set text [read [open vivado.tcl]]
if {![info complete $text]} {error incomplete}
source vivado.tcl
"""
"""Runs scripts/vivado.tcl beside it, which may name only files that there are."""


def command(*arguments: object) -> tuple[int, str]:
    """Run ``codesign``; return its exit status and what it said. Fails for a broken answer."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        status = main([str(argument) for argument in arguments])
    text = said.getvalue()
    assert all(character.isprintable() or character == "\n" for character in text), text
    if status:
        assert status in (1, 2), (status, text)
        assert "codesign: error: " in text
        assert len(text) < MOST_SAID, len(text)
    return status, text


def is_refused(act: Callable[[], object], *errors: type[Exception]) -> bool:
    """Return True if ``act`` raises one of the errors, whose message is short and printable."""
    try:
        act()
    except errors as error:
        text = str(error)
        assert text.isprintable(), repr(text)
        assert len(text) < MOST_SAID, len(text)
        return True
    return False


# Ways of a name; each gets names and an empty folder, and yields what became of them -----------


def designs_and_layers(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As any text in a design file: of the design, of a layer, of an input, of the data set."""
    for name in given:
        for place in ("name: small", "name: conv1", "name: logits", "{name: digits}"):
            text = json.dumps(name)
            new = f"{{name: {text}}}" if place.startswith("{") else f"name: {text}"
            yaml = small_build.DESIGN.replace(place, new, 1)
            refused = is_refused(lambda yaml=yaml: designs.loads(yaml), *main_errors())
            yield REFUSED if refused else HARMLESS


def builds(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As a design's name, through all files that are named by it or name it."""
    for name in given:
        yaml = small_build.DESIGN.replace("name: small", f"name: {json.dumps(name)}", 1)
        try:
            design = designs.loads(yaml)
        except main_errors():
            yield REFUSED
            continue
        _, compiled, vectors = small_build.parts()
        out = folder / "build"
        build_folder.build(design, compiled, vectors, out)
        assert [path.name for path in out.glob("*.core")] == [f"{name}.core"]
        project_files(out)
        yield HARMLESS


def folders(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As the folder of a build: written, verified, synthesised, placed, reported, compared."""
    parts = small_build.parts()
    other = build_folder.build(*parts, folder / "build" / "other")
    for name in given:
        if name in (".", ".."):
            continue
        out = folder / name
        build_folder.build(*parts, out)
        project_files(out)
        statuses = [
            command("verify", out, "--images", "1")[0],
            command("synth", out, "--place", "--device", "lfe5u-85f")[0],
            command("report", out)[0],
            command("compare", out, other)[0],
        ]
        assert (out / "report.html").exists()
        shutil.rmtree(out)
        yield REFUSED if any(statuses) else HARMLESS


def project_files(build: Path) -> None:
    """Read the project files of a build folder with the languages' own tools."""
    if shutil.which("tclsh"):
        script = build / "scripts" / "try.tcl"
        script.write_text(TCL)
        ran = subprocess.run(
            ["tclsh", script.name], cwd=script.parent, capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
        script.unlink()
    if shutil.which("fusesoc"):
        (core,) = build.glob("*.core")
        shown = f"::{core.stem}-npu:0"
        ran = subprocess.run(
            ["fusesoc", "--cores-root", ".", "core", "show", shown],
            cwd=build, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert shown.removeprefix("::").split(":")[0] in ran.stdout


def verilog_files(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As files in a foreign folder's rtl/, all at once."""
    build = small_build.write(folder / "build")
    for number, name in enumerate(given):
        (build / "rtl" / f"{name}.v").write_text(f"module m{number}; endmodule\n")
    statuses = {
        command("verify", build, "--images", "1")[0],
        command("synth", build)[0],
        command("synth", build, "--place", "--device", "lfe5u-85f")[0],
    }
    assert statuses == {0}, statuses
    yield from [HARMLESS] * len(given)


def verilog_modules(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As escaped names of modules in a foreign folder."""
    build = small_build.write(folder / "build")
    for name in given:
        (build / "rtl" / "more.v").write_text(f"module \\{name} ; endmodule\n")
        statuses = [command(verb, build)[0] for verb in ("verify", "synth")]
        yield REFUSED if any(statuses) else HARMLESS


def classes(given: Sequence[str], folder: Path) -> Iterator[str]:
    """As the class names of a data set, in the report of a build that was trained on it."""
    for name in given:
        with contextlib.suppress(FileExistsError):
            (folder / "data" / name).mkdir(parents=True)
        for number in range(3):
            (folder / "data" / name / f"{number}.png").write_bytes(png(6, 6))
    design, compiled, vectors = small_build.parts()
    plain = _outline(design, compiled, vectors, ("a", "b", "c", "d", "e"), folder)
    is_refused(lambda: datasets.load(str(folder / "data")), *main_errors())
    for name in given:
        found = _outline(design, compiled, vectors, (name, "b", "c", "d", "e"), folder)
        assert found == plain, name
        yield HARMLESS


def _outline(design, compiled, vectors, labels: tuple[str, ...], folder: Path) -> list[object]:  # type: ignore[no-untyped-def]
    """Return the tags of the report of a build with these class names, and their attributes."""
    scores = {"images": 5, "confusion": np.eye(5, dtype=int).tolist(), "classes": list(labels)}
    reports = {"accuracy": {"test": 1.0, "validation": 1.0, "classes": list(labels),
                            "scores": {"test": scores}}}  # fmt: skip
    out = folder / "build"
    build_folder.build(design, compiled, vectors, out, reports=reports)
    assert command("report", out, "--out", folder / "page.html")[0] == 0
    reader = _Tags()
    reader.feed((folder / "page.html").read_text())
    return reader.found


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[object] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


def main_errors() -> tuple[type[Exception], ...]:
    from codesign.cli.main import USER_ERRORS

    return USER_ERRORS


WAYS: dict[str, Callable[[Sequence[str], Path], Iterator[str]]] = {
    "text in a design": designs_and_layers,
    "design's name, built": builds,
    "build folder": folders,
    "Verilog file": verilog_files,
    "Verilog module": verilog_modules,
    "class": classes,
}


def follow(way: str, given: Sequence[str], folder: Path) -> Counter[str]:
    """Take names one way from within ``folder``; return how many were refused, and harmless.

    Raises AssertionError for a name that ran, wrote or broke something.
    """
    place, here = folder / "files", folder / "here"
    place.mkdir()
    here.mkdir()
    before = Path.cwd()
    os.chdir(here)
    try:
        found = Counter(WAYS[way](given, place))
    finally:
        os.chdir(before)
    assert list(here.iterdir()) == [], "something was written to the current folder"
    assert not [path for path in folder.rglob(MARKER) if path.is_file()], "a name was run"
    return found


def run() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth name")
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    chosen = parser.parse_args()
    for way in chosen.ways or WAYS:
        with tempfile.TemporaryDirectory(prefix="names-") as folder:
            found = follow(way, names()[:: chosen.every], Path(folder))
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
        sys.stdout.write(f"{way}: {told}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run())
