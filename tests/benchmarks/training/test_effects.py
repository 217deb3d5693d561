"""The benchmark of training choices: a row a choice, kept, and not trained again."""

import json

import numpy as np

from benchmarks.training import effects


def test_rows_are_kept_and_not_trained_again(tmp_path, capsys, monkeypatch):
    random = np.random.default_rng(0)
    data, out = tmp_path / "data.npz", tmp_path / "effects.jsonl"
    images = random.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    np.savez(data, x_train=images, y_train=np.arange(64) % 10, x_test=images[:20],
             y_test=np.arange(20) % 10)  # fmt: skip
    monkeypatch.setattr(effects, "BASE", effects.dataclasses.replace(effects.BASE, batch_size=16))
    command = [str(data), "--epochs", "4", "--out", str(out), "--only", "not compiled"]
    effects.main(command)
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["change"] == "not compiled"
    assert 0 <= row["float"] <= 1
    assert 0 <= row["validation"] <= 1
    assert row["float_ms"] > 0
    assert row["exact_ms"] > 0
    capsys.readouterr()
    effects.main(command)
    assert not capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "effects.jsonl"]
