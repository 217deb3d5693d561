"""Learning curves: what an epoch records, which epoch is kept, and curves of older files."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from models.data import datasets
from models.quantisation.plan import Quantisation
from models.training import checkpoint
from models.training.history import (
    Epoch,
    from_list,
    kept_epoch,
    settled_accuracy,
    to_list,
    worth_keeping,
)
from models.training.loop import train
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork
from tests.models.training.test_training import SMALL


@pytest.mark.parametrize(
    ("images", "kept"),
    [
        (10, 6),  # all are alike; the floating-point epoch, though the best, does not count
        (100, 5),  # a standard error is 4 points
        (10_000, 3),
    ],
)
def test_the_last_epoch_is_kept_that_the_images_cannot_tell_from_the_best(images, kept):
    scores = [(0.95, False), (0.6, True), (0.8, True), (0.7, True), (0.77, True), (0.7, True)]
    history = []
    for score, quantised in scores:
        keep = quantised and worth_keeping(history, score, images)
        history.append(Epoch(1.0, score, quantised, kept=keep))
    assert kept_epoch(history) == kept
    assert kept_epoch(history[:1]) is None
    assert kept_epoch([]) is None
    assert from_list(json.loads(json.dumps(to_list(history)))) == tuple(history)


def test_of_older_files_the_last_of_the_best_quantised_epochs_is_kept():
    scores = [(0.9, False), (0.6, True), (0.8, True), (0.8, True), (0.7, True)]
    assert kept_epoch([Epoch(1.0, score, quantised) for score, quantised in scores]) == 4


def test_the_kept_weights_are_those_of_the_kept_epoch(few):
    settings = TrainSettings(epochs=12, batch_size=20, compile="never", threads=1)
    trained = train(SMALL, Quantisation(), few, settings)
    kept = trained.history[kept_epoch(trained.history) - 1]
    assert trained.evaluate(few.validation) == kept.accuracy


@pytest.fixture(scope="module")
def few():
    whole = datasets.load("digits")
    train_ = dataclasses.replace(
        whole.train, images=whole.train.images[:100], labels=whole.train.labels[:100]
    )
    return dataclasses.replace(whole, train=train_)


def test_training_accuracy_counts_each_batch_before_its_step(few):
    """An epoch of one batch has that of the untrained network."""
    settings = TrainSettings(epochs=2, batch_size=100, float_share=0.5, compile="never", threads=1)
    first, _ = train(SMALL, Quantisation(), few, settings).history
    torch.manual_seed(settings.seed)
    network = QuantNetwork(SMALL, Quantisation(), settings.scale_bits).train()
    images, _ = settings.augmentation.apply(torch.from_numpy(few.train.images), torch.Generator())
    right = (network(images).argmax(dim=1).numpy() == few.train.labels).sum()
    assert first.training_accuracy == right / 100
    longer = dataclasses.replace(settings, epochs=20, batch_size=25, learning_rate=0.02)
    last = train(SMALL, Quantisation(), few, longer).history[-1]
    assert last.training_accuracy > first.training_accuracy + 0.3


def test_weights_and_checkpoints_of_older_versions_have_no_training_accuracy(few, tmp_path):
    settings = TrainSettings(epochs=2, batch_size=50, compile="never")
    path = tmp_path / "run.ckpt"
    trained = train(SMALL, Quantisation(), few, settings, checkpoint=path)
    weights = tmp_path / "net.weights"
    trained.save(weights)
    for file in (path, weights):
        content = torch.load(file, weights_only=True)
        content["history"] = [epoch[:3] for epoch in content["history"]]
        checkpoint.save(content, file)
    older = tuple(Epoch(*dataclasses.astuple(one)[:3]) for one in trained.history)
    assert TrainedNetwork.load(weights).history == older
    again = train(SMALL, Quantisation(), few, settings, checkpoint=path)
    assert again.history == older


def test_settled_accuracy_is_the_mean_of_the_later_half_of_the_quantised_epochs():
    start = [Epoch(1.0, accuracy, quantised=False) for accuracy in (0.9, 1.0)]
    late = [Epoch(1.0, accuracy, quantised=True) for accuracy in (0.1, 0.2, 0.6, 0.8)]
    assert settled_accuracy([*start, *late]) == pytest.approx((0.6 + 0.8) / 2)
    assert settled_accuracy([*start, late[0]]) == 0.1
    assert settled_accuracy(start) is None
