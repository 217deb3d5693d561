"""Tables and sections in Markdown, and the marked blocks of a page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

Generator = Callable[[], str]
"""Returns the Markdown of one marked block, with a line end behind its last line."""
BLOCK = re.compile(r"(<!-- table: ([\w.-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would break a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    """On one line; bars escaped, and angle brackets where they would be read as HTML."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    return "`".join(
        part if odd % 2 else part.replace("<", "&lt;") for odd, part in enumerate(parts)
    )


def code(value: object) -> str:
    """A value as code; nothing for one that says nothing."""
    return "" if value in (None, "") else f"`{value}`"


def sections(level: int, parts: Iterable[tuple[str, str]]) -> str:
    """(heading, body) of each part, one blank line between all of them."""
    return "\n".join(f"{'#' * level} {head}\n\n{body.strip()}\n" for head, body in parts)


def blocks(page: str) -> list[str]:
    """The names of a page's blocks, in order."""
    return [match[2] for match in BLOCK.finditer(page)]


def with_blocks(page: str, generators: Mapping[str, Generator]) -> str:
    """``page`` with every marked block as its generator writes it. Raises KeyError for a name that
    none has."""
    return BLOCK.sub(lambda block: f"{block[1]}{generators[block[2]]()}{block[4]}", page)
