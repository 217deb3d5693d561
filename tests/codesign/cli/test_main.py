"""The help of every verb, and Ctrl-C: status 130 and the command that goes on."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import optuna
import pytest

from codesign.cli import main
from codesign.cli.main import VERBS, parser
from codesign.cli.verbs import estimate
from codesign.search.storage import StudyPlace
from tests.paths import EXAMPLE


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


def test_ctrl_c_names_the_command_that_goes_on(monkeypatch, capsys):
    def run(*args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(estimate, "run", run)
    assert main(["estimate", str(EXAMPLE)]) == 130
    assert f"codesign estimate {EXAMPLE}" in capsys.readouterr().err


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["symlink", "rename", "unlink"])
def test_ctrl_c_may_cut_an_append_to_the_journal_short(call, when, tmp_path, monkeypatch):
    # Optuna's own clean-up raises other errors when a lock's files are not as it left them.
    done = getattr(os, call)

    def interrupted(*paths: str) -> None:
        if when == "after":
            done(*paths)
        monkeypatch.setattr(os, call, done)
        raise KeyboardInterrupt

    def run(*args: object) -> int:
        place = StudyPlace(Path(tmp_path / "trials.journal"))
        journal = place.open()
        monkeypatch.setattr(os, call, interrupted)
        with place.told():
            optuna.create_study(storage=journal)
        return 0

    monkeypatch.setattr(estimate, "run", run)
    assert main(["estimate", str(EXAMPLE)]) == 130
