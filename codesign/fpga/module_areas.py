"""Cache of synthesis results per Verilog module, so that designs reuse the modules they share.

Hierarchical synthesis maps every module separately: its netlist depends only on its own text and on
the modules that it instantiates. A module synthesised before can therefore be a black box in the
next design, with its cell counts taken from the cache; tests compare the sum with synthesis from
scratch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from codesign.tools import processes

_CACHE = "modules"
_TOKEN = re.compile(r"""//[^\n]*|/\*.*?(?:\*/|\Z)|("(?:\\.|[^"\\\n])*"|\\\S+)""", re.DOTALL)
"""A comment, or (group 1) a string or an escaped name, in which no comment begins."""
_WORD = re.compile(r"[\w$]+")
_MODULE = re.compile(
    r"\s*(?:\(\*(?:[^*`;]|\*(?!\)))*\*\)\s*)*module\s+(\w+)\b[^`]*\bendmodule\s*", re.ASCII
)
"""A file that only declares modules, perhaps with attributes: no directives, nothing outside."""
_ELSEWHERE = re.compile(r"`\s*include|\$readmem|\$fopen")

Cells = dict[str, int]
"""Count of each cell type (or instantiated module), by its name."""
Modules = dict[str, Cells]
"""Cells of each module, by its name."""


def code(verilog: str) -> str:
    """Return Verilog without its comments."""
    return _TOKEN.sub(lambda token: token[1] or "", verilog)


def _only_module(text: str) -> str | None:
    """Return the name of the module in a file that holds nothing else, or None for other files.

    Nothing that is read after the file then depends on it but by the module: macros, directives,
    and declarations outside of modules, which would reach further, are not there.
    """
    bare = _TOKEN.sub(lambda token: '""' if token[1] else " ", text)
    words = Counter(_WORD.findall(bare))
    if words["module"] != 1 or words["endmodule"] != 1:
        return None
    found = _MODULE.fullmatch(bare)
    return found[1] if found else None


def self_contained(verilog: Mapping[str, str]) -> bool:
    """Return True unless Verilog (file name -> text) reads other files, which keys do not cover."""
    return not any(map(_ELSEWHERE.search, verilog.values()))


@dataclass(frozen=True)
class Hierarchy:
    """Module hierarchy of a design with one module per file. Made by ``Hierarchy.of``."""

    children: Mapping[str, tuple[str, ...]]
    """Modules that a module's text names, sorted, by module."""
    keys: Mapping[str, str]
    """Hash of a module's text, of all text below it (with comments, some of which synthesis obeys),
    and of the context, by module."""

    @classmethod
    def of(cls, verilog: Mapping[str, str], context: str) -> Hierarchy | None:
        """Read the hierarchy of ``verilog`` (file name -> text).

        context: tool version and options, as text that enters every hash. Returns None unless every
        file holds exactly one module, of the file's name, and nothing else: no directive, and no
        declaration outside of it. Raises RecursionError if modules name each other in a circle.
        """
        texts = {PurePath(file).stem: text for file, text in verilog.items()}
        if len(texts) != len(verilog):
            return None
        for name, text in texts.items():
            if _only_module(text) != name:
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
    """Modules to synthesise and modules known from the cache. Made by ``SynthesisPlan.of``."""

    hierarchy: Hierarchy
    known: Modules
    """Cached modules, with the parametrised modules derived for them."""
    missing: tuple[str, ...]
    """Modules to synthesise."""
    boxes: tuple[str, ...]
    """Known modules that missing ones instantiate: black boxes for Yosys."""

    @classmethod
    def of(cls, hierarchy: Hierarchy, top: str) -> SynthesisPlan:
        """Look up the module ``top`` and every module below it in the cache of this user.

        Raises KeyError if the hierarchy has no module ``top``.
        """
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
        """Store the cells of the missing modules in the cache, as far as ``found`` has them.

        found: cells of each module by this synthesis, parametrised modules included, which are
        stored with the modules that instantiate them.
        """
        for name in self.missing:
            if name in found:
                below = {cell for cell in found[name] if cell in found}
                derived = below - self.hierarchy.keys.keys()
                entry = {each: found[each] for each in {name, *derived}}
                processes.keep(_CACHE, self.hierarchy.keys[name], entry)
