"""The benchmark of learned thresholds: rows of both kinds of codes, and of both post units."""

import json

from benchmarks.training import thresholds


def test_every_number_of_bits_has_three_rows(capsys):
    thresholds.main(["--bits", "2", "--seeds", "1", "--epochs", "3", "--estimate"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [(row["post_units"], row["codes"]) for row in rows]
    assert kinds == [("multiply", "even"), ("thresholds", "even"), ("thresholds", "learned")]
    multiply, compare, learned = rows
    assert multiply["validation"] == compare["validation"] != learned["validation"]
    assert multiply["estimated_luts"] > compare["estimated_luts"] == learned["estimated_luts"]
    assert "luts" not in multiply
