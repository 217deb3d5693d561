"""The benchmark of accumulators: a row for each width, of integers that keep to it."""

import json

from benchmarks.training import accumulators


def test_every_width_has_a_row(capsys):
    accumulators.main(["--bits", "11", "--seeds", "1", "--epochs", "2", "--estimate"])
    wide, narrow = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (wide["bits"], narrow["bits"]) == (17, 11)
    assert narrow["used"] <= 11 < wide["used"] <= 17
    assert narrow["zeros"] > wide["zeros"]
    assert "luts" not in narrow
