"""``codesign doctor``: list the tools that were found, and how to install missing ones."""

from __future__ import annotations

import argparse
import dataclasses

from codesign.cli import installation
from codesign.cli.console import Console, table

NAME = "doctor"
HELP = "say which tools were found, in which version, and how to get what is missing"
EXAMPLES = """\
  codesign doctor
  codesign doctor --json
Exit status 2 when a tool is missing that something needs."""


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
    console.say(table(("tool", "version", "needed for", "how to get it"), rows, left=4))
    console.result({"tools": [dataclasses.asdict(tool) for tool in tools]})
    return 0 if all(tool.found or tool.optional for tool in tools) else 2
