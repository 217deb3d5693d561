"""The accuracy study samples repeatably, goes on after a kill, and refuses bad tables.

It describes and trains the networks that the accuracy predictor is fitted to.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from codesign.results import UserError
from codesign.search.accuracy import study, study_data
from codesign.search.accuracy.features import FEATURES, network_features
from codesign.search.accuracy.study_data import Description, Training
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.genome import Ints, network_key
from codesign.search.space.tables import layer_table
from models.data import datasets
from models.data.datasets import Dataset

SPACES = {
    "digits": study.space_of((1, 8, 8), 10),
    "fashion-mnist": study.space_of((1, 28, 28), 10),
}
LINE = Training(
    key="a1", seed=0, epochs=5, train_images=3000, validation=0.8, test=0.79, seconds=4.2,
    tool="torch 2", date="2026-11-24", genes="0 1 2",
)  # fmt: skip


@pytest.mark.parametrize("name", SPACES)
def test_samples_repeat_and_shorter_ones_are_their_beginning(name: str) -> None:
    space = SPACES[name]
    found = study.sample(space, 20, 0)
    assert np.array_equal(found, study.sample(space, 20, 0))
    assert np.array_equal(found[:7], study.sample(space, 7, 0))
    assert not np.array_equal(found, study.sample(space, 20, 1))
    assert len({network_key(space, one) for one in found}) == 20
    assert layer_table(space, found).macs.sum(axis=1).max() <= study.MAX_MACS


@pytest.mark.parametrize("name", SPACES)
def test_the_shipped_tables_are_of_the_networks_that_the_command_samples(name: str) -> None:
    space = SPACES[name]
    networks = study_data.read(study_data.SHIPPED / f"networks_{name}.csv", Description)
    trainings = study_data.read(study_data.SHIPPED / f"trainings_{name}.csv", Training)
    assert len(networks) >= 60
    chosen = study.sample(space, len(networks), 0)
    assert [row.key for row in networks] == [network_key(space, one) for one in chosen]
    features = network_features(layer_table(space, chosen))
    stored = [[getattr(row, feature) for feature in FEATURES] for row in networks]
    np.testing.assert_allclose(stored, features, atol=1e-5)
    genes = {row.key: row.genes for row in trainings}
    assert genes == {network_key(space, one): " ".join(map(str, one)) for one in chosen}


def fake(space: SearchSpace, candidate: Ints, dataset: Dataset, seed: int) -> Training:
    return dataclasses.replace(LINE, key=network_key(space, candidate), seed=seed)


def test_a_killed_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def interrupted(*arguments: object) -> Training:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append("one")
        return fake(*arguments)  # type: ignore[arg-type]

    command = ["--networks", "4", "--repeats", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(study, "describe_all", lambda *arguments: None)
    monkeypatch.setattr(study, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.main(command)
    path = tmp_path / "trainings_digits.csv"
    assert len(study_data.read(path, Training)) == 2
    seeds: list[int] = []

    def counted(*arguments: object) -> Training:
        seeds.append(int(arguments[-1]))  # type: ignore[call-overload]
        return fake(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(study, "train", counted)
    assert study.main(command) == 0
    assert seeds == [0, 0, 1, 1]
    rows = study_data.read(path, Training)
    assert len(rows) == 6
    assert {row.key for row in rows if row.seed == 1} == {rows[0].key, rows[3].key}
    assert study.main(command) == 0
    assert len(seeds) == 4


def test_describing_repeats_and_keeps_the_supernet_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "SUPERNET_STEPS", 2)
    dataset, space = datasets.load("digits"), SPACES["digits"]
    chosen = study.sample(space, 2, 0)

    def described(out: Path) -> list[Description]:
        study.describe_all(space, chosen, dataset, out, 0, lambda text: None)
        rows = study_data.read(out / "networks_digits.csv", Description)
        return [dataclasses.replace(row, seconds=0) for row in rows]

    whole = described(tmp_path / "whole")
    assert [row.key for row in whole] == [network_key(space, one) for one in chosen]
    assert not (tmp_path / "whole" / "supernet_digits.pt").exists()

    def interrupted(*arguments: object) -> Description:
        if (tmp_path / "killed" / "networks_digits.csv").exists():
            raise KeyboardInterrupt
        return describe(*arguments)  # type: ignore[arg-type]

    describe = study.describe
    monkeypatch.setattr(study, "describe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        described(tmp_path / "killed")
    monkeypatch.setattr(study, "describe", describe)
    monkeypatch.setattr(study, "SUPERNET_STEPS", 50)  # it is read, not trained again
    supernet = tmp_path / "killed" / "supernet_digits.pt"
    content = supernet.read_bytes()
    supernet.write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not a supernet of this space"):
        described(tmp_path / "killed")
    supernet.write_bytes(content)
    assert described(tmp_path / "killed") == whole


def test_one_training_follows_the_recipe() -> None:
    dataset, space = datasets.load("digits"), SPACES["digits"]
    chosen = study.sample(space, 16, 0)
    largest = chosen[layer_table(space, chosen).weights.sum(axis=1).argmax()]
    row = study.train(space, largest, dataset, 0)
    assert (row.epochs, row.train_images) == (12, len(dataset.train))
    assert 0.6 < row.test <= 1
    assert (row.key, row.seed) == (network_key(space, largest), 0)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda text: text.replace("test,", "tset,"), "wrong columns: missing test; 1 unknown"),
        (lambda text: text.replace("0.79", "nan"), "test must be finite, not nan"),
        (lambda text: text.replace("0.79", "79"), "accuracies must be 0..1"),
        (lambda text: text.replace("3000", "many"), "train_images: not a number: 'many'"),
        (lambda text: text + text.splitlines()[1] + "\n", "is in the file twice"),
        (lambda text: text + "a,b\n", "2 cells, not 10"),
        (lambda text: "", "wrong columns"),
        (lambda text: text + "a" * 200_000, "is not CSV: field larger than field limit"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, change, said: str) -> None:
    path = tmp_path / "trainings_digits.csv"
    study_data.write(path, Training, [LINE])
    assert study_data.read(path, Training) == [LINE]
    path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=f"trainings_digits.csv.*{said}"):
        study_data.read(path, Training)


def test_bad_input_ends_with_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "networks_digits.csv").write_text("nonsense\n")
    for arguments, said in (
        (["--out", str(tmp_path)], "wrong columns"),
        (["--repeats", "65"], "--repeats must be 0..64"),
        (["--dataset", "fashion-mnist", "--data-dir", str(tmp_path)], "fashion-mnist"),
    ):
        with pytest.raises(SystemExit, match="2"):
            study.main(arguments)
        assert said in capsys.readouterr().err
