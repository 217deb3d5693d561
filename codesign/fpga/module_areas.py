"""Synthesis results module by module, so that designs that share blocks share the work.

Hierarchical synthesis maps every module for itself: what a module becomes depends on its own text
and on the modules below it, nothing else. A module met before can therefore be a black box in the
next design, and its cells come from the cache; tests hold the sum against synthesis from scratch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from codesign.tools import processes

_CACHE = "modules"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)

Cells = dict[str, int]
Modules = dict[str, Cells]
"""Module -> cell type (or module below it) -> count."""


@dataclass(frozen=True)
class Hierarchy:
    """The modules of a design that has one module per file, named as the file is."""

    children: Mapping[str, tuple[str, ...]]
    """Module -> modules that its text names."""
    keys: Mapping[str, str]
    """Module -> hash of its text, of all text below it, and of how it is synthesised."""

    @classmethod
    def of(cls, verilog: Mapping[str, str], context: str) -> Hierarchy | None:
        """None for files that hold other than one module of their own name."""
        texts = {PurePath(file).stem: _COMMENT.sub("", text) for file, text in verilog.items()}
        for name, text in texts.items():
            if re.findall(r"^\s*module\s+(\w+)", text, re.MULTILINE) != [name]:
                return None
        children = {
            name: tuple(sorted((set(re.findall(r"\w+", text)) & texts.keys()) - {name}))
            for name, text in texts.items()
        }
        keys: dict[str, str] = {}

        def key(name: str) -> str:
            if name not in keys:
                below = [key(child) for child in children[name]]
                keys[name] = processes.content_hash([context, texts[name], below])
            return keys[name]

        for name in texts:
            key(name)
        return cls(children, keys)


@dataclass(frozen=True)
class SynthesisPlan:
    """What is known of a design, and what has to be synthesised."""

    hierarchy: Hierarchy
    known: Modules
    """Cached modules, with the parametrised ones below them."""
    missing: tuple[str, ...]
    boxes: tuple[str, ...]
    """Known modules directly below missing ones."""

    @classmethod
    def of(cls, hierarchy: Hierarchy, top: str) -> SynthesisPlan:
        known: Modules = {}
        missing: list[str] = []
        boxes: set[str] = set()
        waiting, seen = [top], {top}
        while waiting:
            name = waiting.pop()
            entry: Modules | None = processes.cached(_CACHE, hierarchy.keys[name])
            if entry is None:
                missing.append(name)
            else:
                known |= entry
                boxes.add(name)
            for child in hierarchy.children[name]:
                if child not in seen:
                    seen.add(child)
                    waiting.append(child)
        below = {child for name in missing for child in hierarchy.children[name]}
        return cls(hierarchy, known, tuple(missing), tuple(sorted(boxes & below)))

    def keep(self, found: Modules) -> None:
        """Store what synthesis found of the missing modules."""
        for name in self.missing:
            if name in found:
                below = {cell for cell in found[name] if cell in found}
                derived = below - self.hierarchy.keys.keys()
                entry = {each: found[each] for each in {name, *derived}}
                processes.keep(_CACHE, self.hierarchy.keys[name], entry)
