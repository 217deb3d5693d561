"""The verbs with their options, from the argparse parsers; hidden options are left out."""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Mapping

from codesign.cli import search_options
from codesign.cli.main import parser
from docs.generate.markdown import Generator, code, sections, table
from docs.generate.sources import allowed

Row = tuple[str, str, str, str]
UNNAMED = ("positional arguments", "options")
"""What argparse calls the groups that a verb has not named."""
HEAD = ("value", "default", "meaning")
SHARED = {"help", "json"}
"""Options of every verb."""
UNSAID = {
    "clock_mhz": "clock in MHz that images per second are counted at and constraints written for",
    "seed": "of the data split, the search and the trainings",
}
"""Options whose help says their default alone."""
DEFAULT = re.compile(r"\s*\(default: ([^)]*)\)|\bdefault: ([^;)]*)")


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Name -> parser, in the order of the help."""
    (found,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(found.choices)


def overview() -> str:
    """One row a verb."""
    rows = [(f"[`{name}`](#{name})", _description(verb)) for name, verb in verbs().items()]
    return table(("verb", "does"), rows)


def all_verbs() -> str:
    """A section a verb: what it does, arguments, options by their groups, examples."""
    return sections(3, ((name, _section(name, verb)) for name, verb in verbs().items()))


def _section(name: str, verb: argparse.ArgumentParser) -> str:
    parts = [f"{_description(verb)[:1].upper()}{_description(verb)[1:]}."]
    groups: dict[str, list[Row]] = {}
    for group in verb._action_groups:
        title = group.title if group.title not in (None, *UNNAMED) else "option"
        rows = [_row(name, action) for action in group._group_actions if _shown(action)]
        groups.setdefault(str(title), []).extend(rows)
    parts += [table((title, *HEAD), rows) for title, rows in groups.items() if rows]
    commands, notes = _examples(verb)
    parts += [f"```\n{commands}```\n", *([notes] if notes else [])]
    return "\n\n".join(part.strip() for part in parts)


def _shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and action.dest not in SHARED


def _description(verb: argparse.ArgumentParser) -> str:
    """The verb's help, as in the overview of all verbs."""
    text = (verb.description or "").rstrip(".")
    return text[:1].lower() + text[1:]


def _row(verb: str, action: argparse.Action) -> Row:
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    text = (action.help or "").replace("%(default)s", str(action.default)).replace("%%", "%")
    meaning = DEFAULT.sub("", text).strip(" ,;") or UNSAID.get(action.dest, "")
    return (
        names or f"`{action.metavar}`",
        _value(action),
        "required" if action.required else _default(verb, action, text),
        meaning,
    )


def _value(action: argparse.Action) -> str:
    """What stands behind the option: its name, and the range that its type allows."""
    if action.nargs == 0 or not action.option_strings:
        return ""
    name = code(action.metavar)
    if action.choices:
        return ", ".join(code(choice) for choice in action.choices)
    try:
        action.type("?") if callable(action.type) else None
    except (argparse.ArgumentTypeError, ValueError) as error:
        return f"{name}, {allowed(str(error))}" if "must be" in str(error) else name
    return name


def _default(verb: str, action: argparse.Action, text: str) -> str:
    """Of the search options where explore's parser leaves it open; of the help; of the parser."""
    said = next((a or b for a, b in DEFAULT.findall(text)), "")
    if action.default is None and verb == "explore":
        fields = {f.name: f.default for f in dataclasses.fields(search_options.SearchOptions)}
        known = fields.get(action.dest)
        if known is not None and known is not False:
            return _plain(known)
    if said:
        return said if " " in said else code(said)
    return "" if action.default in (None, argparse.SUPPRESS) else _plain(action.default)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "" if value is False else "`true`"
    return code(f"{value:g}" if isinstance(value, float) else value)


def _examples(verb: argparse.ArgumentParser) -> tuple[str, str]:
    """Commands and remarks of the help's last part."""
    lines = (verb.epilog or "").splitlines()[1:]
    commands = [line.strip() for line in lines if line.startswith("  ")]
    notes = [line for line in lines if not line.startswith("  ")]
    return "".join(f"{line}\n" for line in commands), " ".join(notes)


def names() -> Iterator[str]:
    """Every visible option, for tests."""
    for verb in verbs().values():
        for action in verb._actions:
            if action.help != argparse.SUPPRESS:
                yield from action.option_strings


GENERATORS: Mapping[str, Generator] = {"verbs": overview, "verb-options": all_verbs}
