"""Docstrings stand alone: first lines are sentences, public classes have an example that runs.

The rest, that a docstring is true and understood by someone who has not seen the code, needs
reading aloud.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

PACKAGES = ("models", "rtl_gen", "sim", "codesign")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
DANGLING = re.compile(r"(Of|What|Whether|Which|How|As|Where|Without|With|From)\b|\[|\(")
"""Openings that lean on the name above them instead of saying what it is."""
MADE_BY = re.compile(r"(Made|Read|Returned) by\s+``[\w.]+``")
"""Where an instance comes from that nobody makes himself; stands in place of an example."""
HARDWARE = ("rtl_gen/blocks/", "sim/", "rtl_gen/npu.py")
"""Components whose docstring is the head of their Verilog, and classes that only a bench makes."""


def documented(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, name, docstring) of the module, its classes and functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), getattr(node, "name", path.stem), text


def faults(path: Path) -> list[str]:
    """Docstrings whose first line is no sentence of its own, each with its place."""
    found = []
    emitted = str(path.relative_to(ROOT)).startswith(HARDWARE[0]) or path.name == "npu.py"
    for line, name, text in documented(path):
        first, _, rest = text.partition("\n")
        if emitted and name[0].isupper():
            continue  # the Verilog's comment: changing it changes every emitted file
        if DANGLING.match(first):
            found.append(f"{path.relative_to(ROOT)}:{line} {name}: opens with {first[:40]!r}")
        alone = not rest or rest.startswith("\n")
        if alone and not re.search(r"[.:!?]\)?$", first):
            found.append(f"{path.relative_to(ROOT)}:{line} {name}: {first[-40:]!r} is no sentence")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_first_lines_are_sentences(package: str) -> None:
    paths = [path for path in FILES if path.is_relative_to(ROOT / package)]
    assert paths
    assert [fault for path in paths for fault in faults(path)] == []


def public_classes() -> Iterator[tuple[str, str, str]]:
    """(module, class, docstring) of the public classes of public modules, exceptions left out."""
    for path in FILES:
        place = str(path.relative_to(ROOT))
        module = place.removesuffix(".py").replace("/", ".")
        room, _, stem = module.rpartition(".")
        if place.startswith(HARDWARE) or stem not in getattr(
            importlib.import_module(room), "__all__", ()
        ):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                bases = " ".join(ast.unparse(base) for base in node.bases)
                if not re.search(r"Error|Exception|Protocol|Enum", bases):
                    yield module, node.name, ast.get_docstring(node) or ""


def test_public_classes_show_an_example_or_who_makes_them() -> None:
    classes = list(public_classes())
    assert len(classes) > 50
    bare = [
        f"{module}.{name}"
        for module, name, text in classes
        if ">>>" not in text and not MADE_BY.search(text)
    ]
    assert bare == []


WITH_EXAMPLES = [path for path in FILES if ">>> " in path.read_text()]


@pytest.mark.parametrize(
    "path", WITH_EXAMPLES, ids=[str(path.relative_to(ROOT)) for path in WITH_EXAMPLES]
)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    )
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted or "doctest: +SKIP" in path.read_text()
    assert not result.failed


def test_the_rule_itself_can_fail() -> None:
    assert DANGLING.match("Of a run of one image.")
    assert DANGLING.match("[n] what accuracy to expect")
    assert not DANGLING.match("Ofen temperature.")
    assert MADE_BY.search("A schedule. Made by ``schedule``.")
