"""Training on from a calibrated network: nearer to the float one, and resumable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.calibration import calibrating, inputs, loading
from models.data.datasets import Dataset, Split
from models.quantisation.plan import Quantisation, QuantSpec
from models.tasks.lessons import divergence
from models.training import losses
from models.training.loop import train
from models.training.losses import Start
from models.training.schedule import TrainSettings
from tests.models.calibration.networks import RESIDUAL, UNIT, examples, floating

BITS = Quantisation(8, QuantSpec(3, 4))
NETWORK = inputs.fit(floating(RESIDUAL), UNIT).network
for _part in ("weight", "bias"):
    NETWORK.weights[f"classes.{_part}"] *= 20  # sure of its answers
SETTINGS = TrainSettings(epochs=3, batch_size=32, learning_rate=2e-3, compile="never")


def teacher():
    return loading.load(NETWORK, BITS)


def dataset() -> Dataset:
    """Examples with the labels that the float network gives them."""

    def part(count: int, seed: int) -> Split:
        images = examples(RESIDUAL, count, seed).images
        with torch.no_grad():
            labels = teacher()(torch.from_numpy(images)).argmax(dim=1).numpy()
        return Split(images, labels)

    return Dataset("made", (3, 12, 12), 5, part(192, 5), part(64, 6), part(64, 7))


DATA = dataset()


def start() -> Start:
    return Start(calibrating.calibrate(NETWORK, BITS, DATA.train.images).network, teacher())


def test_training_on_brings_answers_nearer_to_the_float_network() -> None:
    first = start()
    trained = train(RESIDUAL, BITS, DATA, SETTINGS, start=first)
    assert all(epoch.quantised for epoch in trained.history)
    images = torch.from_numpy(DATA.test.images)
    with torch.no_grad():
        wanted = first.teacher(images)
        before = divergence(first.network.eval()(images), wanted)
        after = divergence(trained.network(images), wanted)
    assert after < before


def test_training_starts_from_the_calibrated_weights() -> None:
    first = start()
    still = TrainSettings(epochs=1, learning_rate=1e-8, weight_decay=0, compile="never")
    trained = train(RESIDUAL, BITS, DATA, still, start=first)
    for name, values in first.network.state_dict().items():
        torch.testing.assert_close(trained.network.state_dict()[name], values, atol=1e-5, rtol=0)


def test_an_interrupted_training_goes_on_and_others_do_not_take_its_checkpoint(
    tmp_path: Path,
) -> None:
    whole = train(RESIDUAL, BITS, DATA, SETTINGS, start=start())
    path = tmp_path / "c"

    def stop(done: int, *rest: float) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RESIDUAL, BITS, DATA, SETTINGS, start=start(), checkpoint=path, progress=stop)
    again = train(RESIDUAL, BITS, DATA, SETTINGS, start=start(), checkpoint=path)
    assert again.history == whole.history
    for name, values in whole.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], values), name
    with pytest.raises(Exception, match="checkpoint of another run"):
        train(RESIDUAL, BITS, DATA, SETTINGS, checkpoint=path)


def test_the_loss_is_that_of_labels_where_the_networks_agree() -> None:
    images = torch.from_numpy(DATA.test.images[:8])
    first = start()
    with torch.no_grad():
        logits = first.teacher(images)
        labels = F.cross_entropy(logits, torch.from_numpy(DATA.test.labels[:8]))
        found = first.mixed(labels, logits, images)
        other = first.mixed(labels, -logits, images)
    np.testing.assert_allclose(found, (1 - losses.TEACHER_SHARE) * labels, rtol=1e-4)
    assert other > found
