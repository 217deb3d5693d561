"""The benchmark of first scales: a row for each rule and width, which differ."""

import json

from benchmarks.training import first_scales


def test_every_rule_has_a_row(capsys, monkeypatch):
    monkeypatch.setattr(first_scales, "BITS", ((4, 4),))
    first_scales.main(["--seeds", "1", "--epochs", "2"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["first_scales"] for row in rows] == ["LSQ", "least squares"]
    assert rows[0]["test"] != rows[1]["test"]
    assert all(0 <= row[key] <= 1 for row in rows for key in ("first_epoch", "quantised_epochs"))
