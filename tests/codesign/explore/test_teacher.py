"""A search whose full trainings learn the answers of a teacher: what of it is checked and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.explore import training
from codesign.results import UserError
from models.data import datasets
from models.errors import ModelError
from models.files.reading import FileError
from models.graph.layers import Linear
from models.graph.network import sequential
from models.quantisation.plan import Quantisation
from models.training.loop import train
from models.training.schedule import TrainSettings
from tests.codesign.explore.test_explore import Fakes, fakes, run, settings

__all__ = ["fakes"]


def teacher(path: Path, seed: int = 0) -> str:
    """Write the weights of a linear network of digits."""
    graph = sequential("teacher", (1, 8, 8), Linear(10))
    how = TrainSettings(epochs=2, compile="never", seed=seed)
    train(graph, Quantisation(), datasets.load("digits"), how).save(path)
    return str(path)


def test_full_trainings_learn_its_answers_and_the_run_says_so(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = teacher(tmp_path / "teacher.weights")
    learned: list[str] = []
    design = training.pipeline.train_design

    def counted(*args, teacher=None, **options):
        learned.append(teacher.graph.name)
        return design(*args, teacher=teacher, **options)

    monkeypatch.setattr(training.pipeline, "train_design", counted)
    said: list[str] = []
    out = tmp_path / "out"
    result, _ = run(settings(out, teacher=weights), said)
    assert learned == ["teacher", "teacher"]
    (note,) = [text for text in said if "teacher.weights" in text]
    assert "% of the validation images" in note
    assert note in result.summary["notes"]

    again, _ = run(settings(out, teacher=weights, resume=True))
    assert again.summary["accuracy"] == result.summary["accuracy"]
    assert len(learned) == 2
    moved = Path(weights).rename(tmp_path / "moved.weights")
    run(settings(out, teacher=str(moved), resume=True))  # it counts by its content
    other = teacher(tmp_path / "other.weights", seed=1)
    for wrong in (other, None):
        with pytest.raises(UserError, match="other teacher_sha256"):
            run(settings(out, teacher=wrong, resume=True))


def test_a_run_without_one_is_the_run_of_before(tmp_path: Path) -> None:
    wanted = settings(tmp_path / "out")
    assert "teacher_sha256" not in wanted.identity({}, datasets.load("digits"))


def test_what_cannot_teach_is_refused_before_anything_is_written(
    fakes: Fakes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with pytest.raises((FileError, ModelError), match="missing"):
        run(settings(out, teacher=str(tmp_path / "missing.weights")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError, match=r"empty/design\.yaml"):
        run(settings(out, teacher=str(tmp_path / "empty")))
    weights = teacher(tmp_path / "teacher.weights")
    with pytest.raises(UserError, match="not both"):
        settings(out, teacher=weights, folds=2)
    with pytest.raises(UserError, match="teacher"):
        settings(out, teacher=weights, network="net", epochs=None)
    command = ["explore", "--lut-budget", "4000", "--dataset", "fashion-mnist", "--out", str(out)]
    assert main([*command, "--teacher", str(tmp_path / "none.weights")]) == 2
    assert not out.exists()
    capsys.readouterr()
    data = tmp_path / "wide.npz"
    known = datasets.load("digits").train
    wide = known.images[:300].repeat(2, axis=3)
    np.savez(data, x=wide, y=known.labels[:300])
    with pytest.raises(ModelError, match="cannot teach"):
        run(settings(out, dataset=str(data), teacher=weights))
    assert not out.exists()
