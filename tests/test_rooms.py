"""The rooms of the code and the arrows between them: the picture of CONTRIBUTING.md, from the code.

A room is a folder with an ``__init__.py``. ``MAY_IMPORT`` says for each which other rooms its files
may import; inside a room, and on files that a package has beside its rooms, the one rule is that no
circle arises.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

from tests.paths import ROOT

PACKAGES = ("models", "rtl_gen", "sim", "codesign")
OURS = {*PACKAGES, "tests", "benchmarks", "examples", "docs"}
HEAVY = {"torch", "sklearn", "optuna"}
MAY_IMPORT_TORCH = {
    "models.data", "models.quantisation", "models.training", "models.training.layers",
    "models.supernet", "models.integer", "models.importing", "models.tasks",
    "models.calibration",
    "codesign.search.accuracy",
    "codesign.search.strategies.learning",
}  # fmt: skip
"""Everything else estimates, compiles and simulates without it."""
LARGEST_ROOM = 16
CROWDED = {"rtl_gen/blocks"}
"""One file a hardware block; sorting them further would hide them."""
LONGEST_FILE = 300

COST = {"cost", "cost.data", "cost.area", "cost.area.blocks", "cost.cycles"}
COMPILER = {"compiler", "compiler.mapping"}
SEARCH = {"search", "search.space", "search.accuracy", "search.strategies"}
MAY_IMPORT: dict[str, set[str]] = {
    "models": {"models.files"},
    "models.files": set(),
    "models.data": {"models.files"},
    "models.graph": {"models.files"},
    "models.quantisation": {"models.files", "models.graph"},
    "models.tasks": {"models.files", "models.data"},
    "models.training.layers": {"models.graph", "models.quantisation"},
    "models.training": {
        "models.files",
        "models.data",
        "models.graph",
        "models.quantisation",
        "models.tasks",
        "models.training.layers",
    },
    "models.supernet": {
        "models.data",
        "models.graph",
        "models.quantisation",
        "models.training",
        "models.training.layers",
    },
    "models.integer": {
        "models.files",
        "models.graph",
        "models.quantisation",
        "models.training",
        "models.training.layers",
    },
    "models.importing.readers": {"models.files", "models.graph"},
    "models.importing.readers.tflite": {"models.files", "models.graph", "models.importing.readers"},
    "models.importing.mapping": {"models.files", "models.graph", "models.importing.readers"},
    "models.importing.recurrent": {
        "models.graph",
        "models.importing.readers",
        "models.importing.mapping",
    },
    "models.importing": {
        "models.files",
        "models.data",
        "models.graph",
        "models.integer",
        "models.importing.readers",
        "models.importing.readers.tflite",
        "models.importing.mapping",
        "models.importing.recurrent",
    },
    "models.exporting": {"models.integer"},
    "models.calibration": {
        "models.data",
        "models.graph",
        "models.quantisation",
        "models.tasks",
        "models.training",
        "models.training.layers",
        "models.importing",
    },
    "rtl_gen": {"rtl_gen.blocks", "rtl_gen.isa"},
    "rtl_gen.isa": set(),
    "rtl_gen.blocks": {"rtl_gen.isa"},
    "rtl_gen.twin": {"rtl_gen.isa", "rtl_gen.blocks"},
    "rtl_gen.package": {"rtl_gen.isa"},
    "sim": {"sim.files", "sim.tools"},
    "sim.files": set(),
    "sim.tools": {"sim.files"},
}
MODELS = {room for room in MAY_IMPORT if room.startswith("models")}
RTL = {room for room in MAY_IMPORT if room.startswith("rtl_gen")}


def below(*rooms: str) -> set[str]:
    """What every room of codesign may import, and these rooms of codesign."""
    return (
        MODELS
        | RTL
        | {"sim", "sim.files", "sim.tools", "codesign", *(f"codesign.{room}" for room in rooms)}
    )


MAY_IMPORT |= {
    "codesign": below("compiler", "cost", "cost.area", "fpga"),
    "codesign.tools": below(),
    "codesign.fpga": below("tools"),
    "codesign.compiler": below(
        *(f"compiler.{r}" for r in ("mapping", "program", "tiling", "zeros"))
    ),
    "codesign.compiler.mapping": below(),
    "codesign.compiler.program": below("compiler.mapping"),
    "codesign.compiler.tiling": below("compiler.mapping", "compiler.program"),
    "codesign.compiler.zeros": below("compiler", "compiler.mapping", "compiler.program"),
    "codesign.cost": below("fpga", "tools", *COMPILER, *COST),
    "codesign.cost.data": below("fpga", "tools", "cost"),
    "codesign.cost.area": below("fpga", "tools", "cost", "cost.area.blocks", "cost.data"),
    "codesign.cost.area.blocks": below("cost", "cost.area"),
    "codesign.cost.cycles": below("tools", "cost", *COMPILER, "compiler.program"),
    "codesign.cost.characterization": below("fpga", "tools", *COST),
    "codesign.search": below("tools", *COMPILER, *COST, *SEARCH),
    "codesign.search.space": below("search", "search.strategies", *COMPILER, *COST),
    "codesign.search.strategies": below(
        "search",
        "search.strategies.differentiable",
        "search.strategies.evolving",
        "search.strategies.modelling",
    ),
    "codesign.search.strategies.differentiable": below("search", "search.strategies"),
    "codesign.search.strategies.evolving": below("search", "search.strategies"),
    "codesign.search.strategies.learning": below(
        "search",
        "search.strategies",
        "search.strategies.evolving",
        "search.strategies.modelling",
    ),
    "codesign.search.strategies.modelling": below(
        "search", "search.strategies", "search.strategies.evolving"
    ),
    "codesign.search.accuracy": below("tools", "search", "search.space", *COMPILER, *COST),
    "codesign.search.bench": below(
        "fpga",
        "tools",
        "search",
        "search.strategies",
        "search.space",
        "search.accuracy",
        "cost.characterization",
        *COMPILER,
        *COST,
    ),
    "codesign.build": below("fpga", "tools", *COMPILER, *COST),
    "codesign.build.floats": below("build", *COMPILER, *COST),
    "codesign.report": below("fpga", "build", *COMPILER, *COST),
    **dict.fromkeys(
        ("codesign.explore", "codesign.explore.given", "codesign.explore.telling"),
        below(
            "fpga",
            "tools",
            "build",
            "build.floats",
            "report",
            "explore",
            "explore.given",
            "explore.telling",
            *COMPILER,
            *COST,
            *SEARCH,
        ),
    ),
    "codesign.cli": below(
        "fpga", "tools", "cli.verbs", "cli.verbs.area", "build", "build.floats", "report", "explore"
    ),
}
MAY_IMPORT["codesign.cli.verbs"] = below(
    "cli",
    "fpga",
    "tools",
    "build",
    "build.floats",
    "report",
    "explore",
    "cost.characterization",
    "search",
    "search.strategies",
    "search.bench",
    *COMPILER,
    *COST,
)
MAY_IMPORT["codesign.cli.verbs.area"] = MAY_IMPORT["codesign.cli.verbs"]
SHARED = {
    "rtl_gen": {"models.arithmetic", "models.files.names"},
    "sim": {
        f"models.files.{name}"
        for name in ("arrays", "forms", "names", "private", "reading", "temporary")
    },
}
"""What generator and simulation may import of models: the definition of requantisation, and the
door for files, of which build folders hold copies."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages by its dotted name; a room's ``__init__`` by the room's name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def rooms() -> list[str]:
    return [name for name, path in modules().items() if path.name == "__init__.py"]


CODE_ROOMS = [room for room in rooms() if list(modules()[room].parent.glob("[!_]*.py"))]


def room_of(module: str) -> str:
    return module if module in rooms() else module.rpartition(".")[0]


def names(source: str, room: str = "") -> set[str]:
    """Every module or name that a source imports, anywhere in it: ``a.b`` and ``a.b.name``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = f"{room}." if node.level else ""  # modules that build folders hold copies of
            module = f"{start}{node.module or ''}".rstrip(".")
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def imported(source: str, room: str = "") -> set[str]:
    """Modules of ours that a source imports."""
    found = set()
    for name in names(source, room):
        while name and name not in modules():
            name = name.rpartition(".")[0]
        found |= {name} - {""}
    return found


def forbidden(room: str, source: str) -> set[str]:
    """Imports that the picture does not have."""
    foreign = {n for n in names(source) if n.split(".")[0] in OURS - set(PACKAGES)}
    allowed = {room, *MAY_IMPORT[room]}
    if room.startswith("models."):
        allowed.add("models")
    if room.startswith("rtl_gen."):
        allowed.add("rtl_gen")
    if room.split(".")[0] in ("sim", "rtl_gen"):
        allowed -= MODELS
    if room == "sim":
        allowed |= RTL
    wrong = {module for module in imported(source, room) if room_of(module) not in allowed}
    return foreign | (wrong - SHARED.get(room.split(".")[0], set()))


@pytest.mark.parametrize("room", CODE_ROOMS)
def test_imports_go_one_way(room: str) -> None:
    wrong = {
        path.name: found
        for path in sorted(modules()[room].parent.glob("*.py"))
        if (found := forbidden(room, path.read_text()))
    }
    assert not wrong


def test_no_circles_of_imports() -> None:
    graph = nx.DiGraph()
    for name, path in modules().items():
        graph.add_edges_from((name, other) for other in imported(path.read_text(), room_of(name)))
    graph.remove_edges_from(list(nx.selfloop_edges(graph)))
    circles = [sorted(group) for group in nx.strongly_connected_components(graph) if len(group) > 1]
    # ``from room import module`` names the room's __init__ as well, which imports its modules.
    assert [c for c in circles if not any(module in rooms() for module in c)] == []


@pytest.mark.parametrize("room", rooms())
def test_a_room_says_what_it_is_for_and_what_is_public(room: str) -> None:
    package = importlib.import_module(room)
    assert package.__doc__, room
    for name in getattr(package, "__all__", ()):
        assert hasattr(package, name) or importlib.util.find_spec(f"{room}.{name}"), name
    if room in CODE_ROOMS and room not in {"rtl_gen.blocks"}:  # whose blocks are for one another
        assert package.__all__, room


def test_rooms_are_entered_by_what_is_public() -> None:
    """Outside a room only what its ``__all__`` names is imported: a module, or a name of it."""
    for name, path in modules().items():
        for other in imported(path.read_text(), room_of(name)):
            room = room_of(other)
            inside = room_of(name) == room or room_of(name).startswith(f"{room}.")
            public = getattr(importlib.import_module(room), "__all__", None)
            if not inside and public is not None and other != room:
                assert other.rpartition(".")[2] in public, f"{name} imports {other}"


@pytest.mark.parametrize("room", ["rtl_gen", "sim"])
def test_generator_and_simulator_need_no_learning_library(room: str) -> None:
    """What a build folder's user runs must not need torch."""
    for path in sorted((ROOT / room).rglob("*.py")):
        assert not {name.split(".")[0] for name in names(path.read_text())} & HEAVY, path


def test_torch_stays_where_networks_are_trained() -> None:
    found = {
        room_of(name)
        for name, path in modules().items()
        if any(other.split(".")[0] == "torch" for other in names(path.read_text()))
    }
    assert found == MAY_IMPORT_TORCH


@pytest.mark.parametrize("top", [*PACKAGES, "tests", "benchmarks"])
def test_folders_and_files_can_be_overlooked(top: str) -> None:
    folders = {path.parent for path in (ROOT / top).rglob("*.py")}
    for folder in folders:
        files = sorted(folder.glob("*.py"))
        if str(folder.relative_to(ROOT)) not in CROWDED:
            assert len(files) <= LARGEST_ROOM, folder
        if top in PACKAGES:
            for file in files:
                assert len(file.read_text().splitlines()) <= LONGEST_FILE, file


def test_what_lies_loose() -> None:
    loose = {path.name for path in (ROOT / "codesign").glob("*.py")}
    assert loose == {"__init__.py", "design.py", "goals.py", "results.py", "prediction.py"}


def test_the_rules_themselves_can_fail() -> None:
    assert forbidden("models.graph", "import rtl_gen.config") == {"rtl_gen.config"}
    assert forbidden("models.graph", "from models.training import loop") == {"models.training.loop"}
    assert forbidden("models", "from models.graph import layers") == {"models.graph.layers"}
    assert not forbidden("models.graph", "from models.errors import ModelError")
    assert forbidden("rtl_gen.isa", "from models.integer import network") == {
        "models.integer.network"
    }
    assert not forbidden("rtl_gen.isa", "from models import arithmetic")
    assert not forbidden("sim", "from rtl_gen.config import NpuConfig")
    assert forbidden("sim", "from models.errors import ModelError") == {"models.errors"}
    late = "def f():\n    from codesign.build import pipeline"
    assert forbidden("sim", late) == {"codesign.build.pipeline"}
    assert forbidden("codesign.tools", late) == {"codesign.build.pipeline"}
    assert forbidden("codesign.fpga", "import tests.processes") == {"tests.processes"}
