"""``codesign doctor``: list the tools that were found, and how to install missing ones."""

from __future__ import annotations

import argparse
import dataclasses

from codesign.cli import installation
from codesign.cli.console import Console, table

NAME = "doctor"
HELP = "list the external tools that were found, and how to install missing ones"
DESCRIPTION = """\
Look for the Python packages and external tools that codesign needs (synthesis,
simulation, place and route) and print a table with version, purpose and, for a
missing tool, how to install it. Nothing is installed or changed.

Exit status: 0 all required tools found, 2 a required tool is missing."""
EXAMPLES = """\
  codesign doctor
  codesign doctor --json"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments."""


def run(args: argparse.Namespace, console: Console) -> int:
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
    console.result({"tools": [dataclasses.asdict(tool) for tool in tools]})
    return 0 if all(tool.found or tool.optional for tool in tools) else 2
