"""The rooms of the code with what each lets out, read from the sources without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.generate.markdown import Generator, code, sections, table
from docs.generate.sources import ROOT, assignment_docs, docstring, parse, summary

PACKAGES = ("codesign", "models", "rtl_gen", "sim")


def rooms() -> Iterator[str]:
    """Dotted names of all packages that hold code."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("__init__.py")):
            if list(path.parent.glob("[!_]*.py")):
                yield ".".join(path.parent.relative_to(ROOT).parts)


def all_rooms() -> str:
    """A section a room: what it is for, and its public modules and names."""
    return sections(3, ((f"{code(room)}", _section(room)) for room in rooms()))


def _section(room: str) -> str:
    folder = ROOT.joinpath(*room.split("."))
    tree = parse(folder / "__init__.py")
    names = public(tree) or sorted(path.stem for path in folder.glob("[!_]*.py"))
    rows = [(code(name), *_entry(folder, tree, name)) for name in names]
    return f"{summary(docstring(tree))}.\n\n{table(('name', 'kind', 'what it is'), rows)}"


def public(tree: ast.Module) -> list[str]:
    """``__all__``; empty where there is none."""
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            found: list[str] = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
            return found
    return []


def _entry(folder: Path, tree: ast.Module, name: str) -> tuple[str, str]:
    """Kind and first sentence of a room's public name."""
    if found := _imported(tree, name) or _definition(tree.body, name):
        return found
    if (path := folder / f"{name}.py").exists():
        return "module", summary(docstring(parse(path)))
    if (path := folder / name / "__init__.py").exists():
        return "room", summary(docstring(parse(path)))
    return "name", ""


def _imported(tree: ast.Module, name: str) -> tuple[str, str] | None:
    """Of a name that the room takes from one of its modules."""
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module:
            path = ROOT.joinpath(*statement.module.split(".")).with_suffix(".py")
            for alias in statement.names:
                if name == (alias.asname or alias.name) and path.exists():
                    return _definition(parse(path).body, alias.name)
    return None


def _definition(body: list[ast.stmt], name: str) -> tuple[str, str] | None:
    """Of a class, function or constant of a module's body."""
    kinds = {ast.ClassDef: "class", ast.FunctionDef: "function"}
    for statement in body:
        kind = kinds.get(type(statement))
        if kind and getattr(statement, "name", None) == name:
            return kind, summary(docstring(statement))
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        targets = statement.targets if isinstance(statement, ast.Assign) else [target]
        if any(isinstance(one, ast.Name) and one.id == name for one in targets):
            return "constant", summary(assignment_docs(body).get(name))
    return None


GENERATORS: Mapping[str, Generator] = {"rooms": all_rooms}
