"""Class numbers follow the labels alone, whatever they are called."""

from __future__ import annotations

import subprocess
import sys

from models.data.raw import ClassNames, natural
from tests.paths import ROOT

CLASSES = "from models.data.raw import ClassNames; print(ClassNames.of(['Cat', 'cat', 'CAT'], ''))"


def test_classes_that_differ_in_case_alone_have_the_same_numbers_in_every_process():
    found = {
        subprocess.run(
            [sys.executable, "-c", CLASSES],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "1234"
    }
    assert found == {"ClassNames(names=('CAT', 'Cat', 'cat'))\n"}


def test_superscripts_are_text_and_other_digits_numbers():
    names = ClassNames.of(["10²", "9²", "٣"], "units: y").names
    assert names == ("٣", "9²", "10²")
    assert natural("²") == ((1, 0, "²"),)


def test_names_that_are_composed_otherwise_are_one_class():
    composed, apart = "caf\u00e9", "cafe\u0301"
    names = ClassNames.of([composed, apart, "bar"], "rooms: y")
    assert names.names == ("bar", composed)
    assert names.numbers([apart, composed, "bar"], "rooms: y").tolist() == [1, 1, 0]
