"""Each row of what hostile inputs once did has a test, and tests of two siblings or more."""

from __future__ import annotations

import re

import pytest

from tests.hostile import CASES
from tests.hostile.rows import ROWS
from tests.paths import ROOT


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_test_and_two_siblings(row: str) -> None:
    for test in ROWS[row]:
        file, _, name = test.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), test
    cases = [name for name in CASES if name.startswith(f"{row.partition(':')[0]}_")]
    assert len(cases) + len(ROWS[row]) >= 3


def test_every_case_is_of_a_row() -> None:
    assert [row.partition(":")[0] for row in ROWS] == [f"x{number}" for number in range(1, 22)]
    assert {name.partition("_")[0] for name in CASES} <= {row.partition(":")[0] for row in ROWS}
