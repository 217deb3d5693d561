"""``codesign doctor``: list the tools that were found, and what the caches take."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from codesign.cli import installation
from codesign.cli.console import Console, table
from codesign.tools import caches
from models.files.reading import size_text
from sim import cache
from sim.cache import CacheError

NAME = "doctor"
HELP = "list the external tools that were found, and what the caches take; empty the caches"
DESCRIPTION = """\
Look for the Python packages and external tools that codesign needs (synthesis,
simulation, place and route) and print a table with version, purpose and, for a
missing tool, how to install it; then the caches, with size and limit of each.
Nothing is installed. With --clean, empty the caches instead.

Exit status: 0 all required tools found, 2 a required tool is missing, or the
cache folder cannot be used."""
EXAMPLES = """\
  codesign doctor
  codesign doctor --json
  codesign doctor --clean"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--clean",
        action="store_true",
        help="empty the caches, but for what running commands use, and say how much was freed",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    if args.clean:
        freed = caches.clean()
        console.say(f"{size_text(freed)} freed in {cache.base()}")
        console.result({"folder": str(cache.base()), "freed_bytes": freed})
        return 0
    tools = installation.check()
    rows = [
        (
            tool.name,
            tool.version or ("found" if tool.found else "missing"),
            tool.needed_for,
            "" if tool.found else tool.cure,
        )
        for tool in tools
    ]
    console.say(table(("tool", "version", "needed for", "how to install it"), rows, left=4))
    found, usable = _caches(console)
    console.result({"tools": [dataclasses.asdict(tool) for tool in tools], "cache": found})
    return 0 if usable and all(tool.found or tool.optional for tool in tools) else 2


def _caches(console: Console) -> tuple[dict[str, Any], bool]:
    """Print what each cache takes; return the same in JSON types, and whether they can be used."""
    try:
        found = caches.usage()
    except (CacheError, OSError, RuntimeError) as error:
        console.say(f"\n{error}")
        return {"error": str(error)}, False
    rows = [
        (use.kind, str(use.entries), size_text(use.size), size_text(use.limit)) for use in found
    ]
    console.say(f"\ncaches in {cache.base()}:")
    console.say(table(("cache", "entries", "size", "limit"), rows))
    return {"folder": str(cache.base()), "kinds": [dataclasses.asdict(use) for use in found]}, True
