"""Which pages hold marked blocks, and how they ought to be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docs.generate import devices, headline, isa, layers, npu, outputs, rooms, search, verbs
from docs.generate.markdown import Generator, blocks, with_blocks
from docs.generate.sources import ROOT

GENERATORS: Mapping[str, Generator] = {
    name: generator
    for module in (verbs, search, npu, layers, isa, outputs, devices, rooms, headline)
    for name, generator in module.GENERATORS.items()
}


def pages() -> list[Path]:
    """Those of docs/ that hold a marked block."""
    return [path for path in sorted((ROOT / "docs").rglob("*.md")) if blocks(path.read_text())]


def fresh(page: Path) -> str:
    """The page's text with every block as the code has it."""
    return with_blocks(page.read_text(), GENERATORS)


def write() -> list[Path]:
    """Brings every page up to date; returns those that were not."""
    stale = [(page, text) for page in pages() if (text := fresh(page)) != page.read_text()]
    for page, text in stale:
        page.write_text(text)
    return [page for page, _ in stale]
