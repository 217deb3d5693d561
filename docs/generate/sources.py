"""What the code says of itself: docstrings of classes, fields and modules, and allowed values.

Files are read, not imported, where that is enough: neither torch nor a simulator is needed.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def prose(text: str | None) -> str:
    """A docstring's text on one line, with the code marks and links of Markdown."""
    plain = re.sub(r"``([^`]+)``", r"`\1`", " ".join((text or "").split()))
    return re.sub(r"\bdocs/([\w/-]+\.md)(#[\w-]+)?", _link, plain)


def _link(match: re.Match[str]) -> str:
    """To a page that there is, from a page of docs/reference/."""
    if not (ROOT / "docs" / match[1]).exists():
        return match[0]
    return f"[{match[1]}](../{match[1]}{match[2] or ''})"


def summary(text: str | None) -> str:
    """The first sentence of a docstring, without its full stop."""
    first = prose((text or "").strip().partition("\n\n")[0])
    return re.split(r"(?<=[.!?])\s+(?=[A-Z`])", first)[0].rstrip(".")


def sentence(text: str) -> str:
    """With a capital letter and a full stop, unless code stands first."""
    return f"{text[:1].upper()}{text[1:]}." if text and text[-1] != "." else text


def docstring(node: ast.AST) -> str:
    """Of a parsed module, class or function; empty where there is none."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return (ast.get_docstring(node) or "") if isinstance(node, kinds) else ""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def field_docs(kind: type) -> dict[str, str]:
    """Field or member -> the string that stands under it, base classes' included."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):  # object and what is written in C
            continue
        assert isinstance(body, ast.ClassDef)
        found |= assignment_docs(body.body)
    return found


def assignment_docs(body: list[ast.stmt]) -> dict[str, str]:
    """Assigned name -> the string that stands under the assignment."""
    docs: dict[str, str] = {}
    name = ""
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and name:
            docs[name] = prose(str(statement.value.value))
            name = ""
        else:
            name = ""
    return docs


def module_docs(module: ModuleType) -> dict[str, str]:
    """Top-level name -> the string under its assignment."""
    return assignment_docs(parse(Path(str(module.__file__))).body)


def refusal(attempt: Callable[[], Any], kind: type[Exception]) -> str:
    """What the code answers to an attempt that it must refuse."""
    try:
        attempt()
    except kind as error:
        return str(error)
    raise AssertionError("accepted what the page says is refused")


def allowed(message: str) -> str:
    """The allowed values that a refusal names: ``must be X, not Y`` -> X, in short."""
    found = re.search(r"must (?:be (?:one )?(?:of )?|list )(.+?)(?:, not .*)?$", message)
    text = found[1] if found else message
    return re.sub(r"^(?:a number|an integer)(?: in)? ", "", text)
