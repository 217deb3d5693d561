"""Networks whose outputs are no classes learn them, stay exact in integers, and can be resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models.data.augmentation import Augmentation
from models.errors import ModelError
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.plan import Quantisation, QuantSpec
from models.tasks.kinds import TASKS
from models.training.history import kept_epoch, to_list
from models.training.loop import train
from models.training.losses import Start
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork
from tests.models.tasks.examples import CODER, NETWORKS, arrays, dataset

BITS = Quantisation(8, QuantSpec(6, 6))
SETTINGS = TrainSettings(epochs=14, batch_size=32, learning_rate=0.03, threads=1, compile="never")
QUICK = dataclasses.replace(SETTINGS, epochs=4)
LEAST = {"reconstruction": 0.95, "numbers": 0.9, "pixels": 0.8}
"""Score on the test part that a trained network reaches."""
KINDS = sorted(NETWORKS)


def integers(trained: TrainedNetwork, images: np.ndarray) -> np.ndarray:
    """Outputs of the integer network, as real values."""
    _, network = lower(trained, trained.network.scale_bits)
    return network.real(reference.predict(network, images))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_its_task_and_integers_compute_what_it_does(
    kind: str, tmp_path: Path
) -> None:
    data = dataset(kind, tmp_path)
    trained = train(NETWORKS[kind], BITS, data, SETTINGS)
    assert trained.task == kind
    fake = trained.outputs(data.test.images)
    exact = integers(trained, data.test.images)
    step = lower(trained, 8)[1].output.step
    apart = np.abs(fake - exact).max(axis=1)
    assert np.median(apart) <= step / 2  # the few others have a code in between at a boundary
    assert np.sqrt((apart**2).mean()) <= 0.02 * exact.std()
    found = TASKS[kind].judge(exact, data.test)
    assert found.number >= LEAST[kind], found.values
    assert all(epoch.training_accuracy is None for epoch in trained.history)
    kept = kept_epoch(trained.history)
    best = max(epoch.accuracy for epoch in trained.history if epoch.quantised)
    assert trained.history[kept - 1].accuracy == best
    again = TASKS[kind].judge(trained.outputs(data.validation.images), data.validation)
    assert again.number == pytest.approx(best, abs=0.01)
    assert next(iter(to_list(trained.history, again.number_name)[0])) == again.score


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_resumed_to_the_same_network(kind: str, tmp_path: Path) -> None:
    data, path = dataset(kind, tmp_path), tmp_path / "run.checkpoint"
    whole = train(NETWORKS[kind], BITS, data, QUICK)

    def stop(done: int, *rest: float) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(NETWORKS[kind], BITS, data, QUICK, checkpoint=path, progress=stop)
    again = train(NETWORKS[kind], BITS, data, QUICK, checkpoint=path)
    assert again.history == whole.history
    for name, values in whole.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], values), name
    whole.save(tmp_path / "w")
    loaded = TrainedNetwork.load(tmp_path / "w")
    assert (loaded.task, loaded.history) == (kind, whole.history)


@pytest.mark.parametrize("kind", KINDS)
def test_training_on_begins_where_it_ended_and_a_teacher_pulls_to_its_answers(
    kind: str, tmp_path: Path
) -> None:
    data = dataset(kind, tmp_path)
    first = train(NETWORKS[kind], BITS, data, QUICK)
    still = TrainSettings(epochs=1, learning_rate=1e-8, weight_decay=0, compile="never")
    same = train(NETWORKS[kind], BITS, data, still, start=Start(first.network, offset=first.offset))
    images = data.test.images
    before = first.outputs(images)
    size = np.abs(before - before.mean(axis=0)).max()
    np.testing.assert_allclose(same.outputs(images), before, atol=0.03 * size)
    # Labels that say nothing leave the teacher's answers to be learned.
    good = train(NETWORKS[kind], BITS, data, SETTINGS)
    wanted = good.outputs(images)
    taught = train(NETWORKS[kind], BITS, data, SETTINGS, teacher=good)
    far = ((before - wanted) ** 2).mean()
    assert ((taught.outputs(images) - wanted) ** 2).mean() < far


def test_anomalies_are_not_learned_and_without_them_the_error_counts(tmp_path: Path) -> None:
    given = arrays("reconstruction")
    x, y = (np.concatenate([given[f"{axis}"], given[f"{axis}_test"]]) for axis in "xy")
    blank = {"x_val": None, "y_val": None, "x_test": None, "y_test": None}
    data = dataset("reconstruction", tmp_path, x=x, y=y, **blank)
    assert not data.train.labels.any()
    spread = [int(part.labels.sum()) for part in (data.test, data.validation)]
    assert sum(spread) == y.sum()
    assert abs(spread[0] - spread[1]) <= 1
    plain = dataset(
        "reconstruction", tmp_path, **{f"y{end}": None for end in ("", "_val", "_test")}
    )
    trained = train(CODER, BITS, plain, QUICK)
    assert all(epoch.accuracy < 0 for epoch in trained.history)
    found = TASKS["reconstruction"].judge(integers(trained, plain.test.images), plain.test)
    assert (found.score, found.number_name) == ("mean_squared_error", "negative_mean_squared_error")


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_of_other_outputs_is_refused(kind: str, tmp_path: Path) -> None:
    for other in set(NETWORKS) - {kind}:
        with pytest.raises(ModelError, match=r"layer \S+: "):
            train(NETWORKS[other], BITS, dataset(kind, tmp_path), QUICK)


def test_images_do_not_move_under_their_labels(tmp_path: Path) -> None:
    moved = dataclasses.replace(QUICK, augmentation=Augmentation(1, 1))
    with pytest.raises(ModelError, match="augment must be none for pixels"):
        train(NETWORKS["pixels"], BITS, dataset("pixels", tmp_path), moved)


def test_a_teacher_of_another_task_is_refused(tmp_path: Path) -> None:
    data = dataset("reconstruction", tmp_path)
    teacher = train(CODER, BITS, data, QUICK)
    numbers = dataclasses.replace(data, task="numbers", train=dataclasses.replace(
        data.train, labels=data.train.images.reshape(-1, 12).astype(float)))  # fmt: skip
    with pytest.raises(ModelError, match="the teacher was trained for reconstruction"):
        train(CODER, BITS, numbers, QUICK, teacher=teacher)
