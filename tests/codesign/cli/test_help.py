"""The help of every verb: input, output and exit status, and each option with its default."""

from __future__ import annotations

import argparse

import pytest

from codesign.cli.main import VERBS, parser


def verb_parser(name: str) -> argparse.ArgumentParser:
    (verbs,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    found = verbs.choices[name]
    assert isinstance(found, argparse.ArgumentParser)
    return found


@pytest.mark.parametrize("name", [verb.NAME for verb in VERBS])
def test_help_says_what_goes_in_what_comes_out_and_how_it_ends(name: str) -> None:
    text = verb_parser(name).format_help()
    assert "Exit status: 0 " in text
    assert "examples:\n  codesign " in text
    if name != "doctor":  # takes nothing
        assert "Input:   " in text
        assert "Output:  " in text


@pytest.mark.parametrize("name", [verb.NAME for verb in VERBS])
def test_every_option_is_explained_with_its_default(name: str) -> None:
    for action in verb_parser(name)._actions:
        assert action.help, action.dest
        if action.help == argparse.SUPPRESS:
            continue
        takes_a_value = action.option_strings and action.nargs != 0
        if takes_a_value:
            assert "default" in action.help or "(required)" in action.help, action.dest


@pytest.mark.parametrize("name", [verb.NAME for verb in VERBS])
def test_descriptions_fit_a_terminal(name: str) -> None:
    description = verb_parser(name).description
    assert description is not None
    assert max(map(len, description.splitlines())) <= 84
