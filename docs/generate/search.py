"""The search file (options of explore) and the space file, with the values that they allow."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any

from codesign.cli.search_options import SearchOptions
from codesign.results import OLD_OPTIONS, UserError
from codesign.search.space import declaration
from codesign.search.space.declaration import SpaceDeclaration
from codesign.search.strategies import STRATEGIES
from codesign.search.strategies.loading import Late
from docs.generate import verbs
from docs.generate.markdown import Generator, code, table
from docs.generate.sources import (
    allowed,
    field_docs,
    module_docs,
    prose,
    refusal,
    sentence,
    summary,
)
from models.data.layout import Layout
from models.training.choices import TrainingChoices
from rtl_gen.config import NpuConfig

SHIPPED = ("digits", "images", "photos")
WORDS = {
    "strategy": ", ".join(code(name) for name in STRATEGIES),
    "resume": "`true`, `false`",
    "training": "a mapping: "
    + ", ".join(code(field.name) for field in dataclasses.fields(TrainingChoices)),
    "layout": ", ".join(code(str(layout)) for layout in Layout),
    "resize": "`[rows, columns]`",
}
"""Allowed values that only a run would name."""
NOWHERE = -1e18
"""Below every range."""
MEANINGS = {
    "stages": "stages of the network",
    "pooling": module_docs(declaration).get("POOLINGS", ""),
    "head": module_docs(declaration).get("HEADS", ""),
    "input": "bits of the images",
    "weights": "bits of the weights, for each layer",
    "activations": "bits of the activations, for each convolution",
}
"""Of genes without a docstring of their own; the NPU's have NpuConfig's."""
RULES = {
    "forbid": "`{parameter: value}`, or several values in a list",
    "require": "`{when: {...}, then: {...}}`",
}
"""Rules of a space: what an entry looks like."""


def options() -> str:
    """Every key of a search file, in the order of the class; units stand in the names."""
    docs, helps = field_docs(SearchOptions), _helps()
    rows = []
    for field in dataclasses.fields(SearchOptions):
        default = "" if field.default is None else code(_plain(field.default))
        meaning = docs.get(field.name) or sentence(helps.get(field.name, ""))
        rows.append((code(field.name), _range(field), default, meaning))
    return table(("key", "value", "default", "meaning"), rows)


def _helps() -> dict[str, str]:
    """Option -> its help on the command line."""
    shown = [a for a in verbs.verbs()["explore"]._actions if a.help != argparse.SUPPRESS]
    helps = {a.dest: verbs.DEFAULT.sub("", a.help or "").strip(" ,;") for a in shown}
    return {name: text or verbs.UNSAID.get(name, "") for name, text in helps.items()}


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _range(field: dataclasses.Field[Any]) -> str:
    if field.name in WORDS:
        return WORDS[field.name]
    hint = typing.get_type_hints(SearchOptions)[field.name]
    kinds = [one for one in (typing.get_args(hint) or (hint,)) if one is not type(None)]
    if kinds[0] is str:
        return "text"
    wrong: dict[str, Any] = {field.name: NOWHERE}
    limits = refusal(lambda: SearchOptions(**wrong), ValueError)
    low, _, high = allowed(limits).partition("..")
    span = f"{low}..{high}" if high and float(high) < 1e9 else f">= {low.removeprefix('>= ')}"
    return f"{span}{', an integer' if kinds[0] is int else ''}"


def old_names() -> str:
    """Options of 0.1 that are still read."""
    rows = [(code(old), f"`--{old}`", code(new)) for old, new in OLD_OPTIONS.items()]
    return table(("key in 0.1", "option", "now"), rows)


def space() -> str:
    """Every gene with the choices that a space may list, and what the shipped ones list."""
    shipped = {name: declaration.load_declaration(name) for name in SHIPPED}
    base, rows = shipped["images"], []
    for part in dataclasses.fields(SpaceDeclaration):
        held = getattr(base, part.name)
        if part.name in RULES:
            none = ["" for _ in shipped]
            meaning = field_docs(SpaceDeclaration).get(part.name, "")
            rows.append((code(part.name), RULES[part.name], *none, meaning))
            continue
        if not dataclasses.is_dataclass(held):
            limit = refusal(_with(base, part.name, ""), ValueError)
            lists = [f"{getattr(one, part.name):,}" for one in shipped.values()]
            meaning = field_docs(SpaceDeclaration).get(part.name, "")
            rows.append((code(part.name), allowed(limit), *lists, meaning))
            continue
        docs = MEANINGS | (field_docs(NpuConfig) if part.name == "npu" else {})
        docs |= field_docs(type(held))
        for gene in dataclasses.fields(held):
            limit = allowed(refusal(_with(base, part.name, gene.name), ValueError)).lower()
            genes = [getattr(getattr(one, part.name), gene.name) for one in shipped.values()]
            name = code(f"{part.name}.{gene.name}")
            rows.append((name, limit, *map(_listed, genes), sentence(docs.get(gene.name, ""))))
    return table(("key", "each is", *(f"`{name}`" for name in SHIPPED), "meaning"), rows)


def _with(base: SpaceDeclaration, part: str, gene: str) -> Callable[[], Any]:
    """The declaration with a choice in that place that nothing allows."""
    held = getattr(base, part)
    wrong: dict[str, Any] = {part: -1}
    if not gene:
        return lambda: dataclasses.replace(base, **wrong)
    nonsense = -1 if type(getattr(held, gene)[0]) is int else "nonsense"
    wrong[part] = dataclasses.replace(held, **{gene: (nonsense,)})
    return lambda: dataclasses.replace(base, **wrong)


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(_plain(value) for value in values)


def unknown_space() -> str:
    """What a space that does not ship is answered, for the test that SHIPPED is all of them."""
    return refusal(lambda: declaration.load_declaration("nonsense"), UserError)


def strategies() -> str:
    """Every strategy by its name: what it is, and where it comes from, from its docstring."""
    rows = []
    for name, made in STRATEGIES.items():
        found = made.found if isinstance(made, Late) else getattr(made, "func", made)
        text = inspect.getdoc(found) or ""
        source = re.search(r"Source: (.+?)(?=\n\n|\Z)", text, re.DOTALL)
        rows.append((code(name), summary(text), prose(source[1]) if source else ""))
    return table(("strategy", "what it is", "source"), rows)


GENERATORS: Mapping[str, Generator] = {
    "strategies": strategies,
    "search-options": options,
    "old-options": old_names,
    "space": space,
}
