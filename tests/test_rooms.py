"""Which room may import which: the arrows of CONTRIBUTING.md, read from the sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"codesign", "models", "rtl_gen", "sim", "tests", "benchmarks", "examples", "docs"}
ALLOWED = {
    "models": set[str](),
    "rtl_gen": {"models.arithmetic"},
    "sim": {"rtl_gen"},
    "codesign": {"models", "rtl_gen", "sim"},
}
HEAVY = {"torch", "sklearn", "optuna"}


def imports(source: str) -> set[str]:
    """Every absolute module that a source imports, anywhere in it: ``a.b`` and ``a.b.name``.

    A relative import cannot leave its room, which is a top-level package.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def violations(room: str, source: str) -> set[str]:
    """Imports of ours that ``room`` may not make."""
    wanted = {name for name in imports(source) if name.split(".")[0] in OURS - {room}}
    allowed = ALLOWED[room]
    return {n for n in wanted if not any(n == a or n.startswith(f"{a}.") for a in allowed)}


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", ALLOWED)
def test_imports_go_one_way(room):
    assert sources(room)
    wrong = {
        str(path.relative_to(ROOT)): names
        for path in sources(room)
        if (names := violations(room, path.read_text()))
    }
    assert not wrong


@pytest.mark.parametrize("room", ["rtl_gen", "sim"])
def test_generator_and_simulator_need_no_learning_library(room):
    """What a build folder's user runs must not need torch."""
    for path in sources(room):
        assert not {name.split(".")[0] for name in imports(path.read_text())} & HEAVY, path


def test_the_rule_itself_can_fail():
    assert violations("models", "import rtl_gen.config") == {"rtl_gen.config"}
    assert violations("rtl_gen", "from models import integer") == {"models.integer.network"}
    assert not violations("rtl_gen", "from models import arithmetic")
    assert violations("sim", "def f():\n    from codesign import build") == {
        "codesign.build.build_folder"
    }
    assert violations("codesign", "import tests.helpers") == {"tests.helpers"}
