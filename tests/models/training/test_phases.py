"""Batch norms beside fake quantisation, averaged weights and products in bfloat16."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.data import datasets
from models.data.augmentation import Augmentation
from models.data.datasets import Dataset
from models.errors import ModelError
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import sequential
from models.integer import reference
from models.integer.lower import lower
from models.quantisation.blocks import BlockShape, Pruning
from models.quantisation.plan import Quantisation, QuantSpec
from models.training import choices
from models.training.averaging import Average
from models.training.choices import TrainingChoices
from models.training.loop import train
from models.training.losses import teacher_logits
from models.training.network import QuantNetwork
from models.training.schedule import TrainSettings
from models.training.trained import TrainedNetwork, answers
from tests.models.strategies import graphs

CONV = Conv2d(8, (3, 3), padding=(1, 1), batch_norm=True, relu=True)
NETWORK = sequential("phases", (1, 8, 8), CONV, MaxPool((2, 2), (2, 2)), CONV, Linear(10))
TERNARY = Quantisation(4, QuantSpec(2, 2))
PHASES = TrainSettings(
    epochs=6, float_share=0.34, norm_share=0.5, average_epochs=1.0, threads=1, compile="never"
)


@pytest.fixture(scope="module")
def few() -> Dataset:
    """Return the digits with 200 training images."""
    digits = datasets.load("digits")
    chosen = np.random.default_rng(0).permutation(len(digits.train))[:200]
    return dataclasses.replace(digits, train=digits.train.take(chosen))


def test_the_phases_follow_each_other():
    assert (PHASES.float_epochs, PHASES.folded_from) == (2, 4)
    assert dataclasses.replace(PHASES, norm_share=0.0).folded_from == 2
    assert dataclasses.replace(PHASES, norm_share=1.0).folded_from == 5  # one epoch at least


@settings(max_examples=25, derandomize=True, deadline=None)
@given(graphs(), st.integers(0, 2**16))
def test_folding_a_quantised_network_keeps_its_codes(graph, seed):
    """In eval mode it computes the same but for rounding of scales, and |code| stays as it is."""
    torch.manual_seed(seed)
    network = QuantNetwork(graph, Quantisation(4, QuantSpec(3, 4)))
    for layer in network.weight_layers:
        if layer.batch_norm is not None:
            nn.init.uniform_(layer.batch_norm.weight, -1.5, 1.5)
            nn.init.uniform_(layer.batch_norm.running_var, 0.5, 2.0)
    network.eval()
    network.quantise(torch.randint(0, 256, (4, *graph.shapes[graph.input.name])), fold=False)
    before = [layer.quantiser.codes(layer.kept_weight()) for layer in network.weight_layers]
    signs = [
        1 if layer.batch_norm is None else torch.sign(layer.batch_norm.weight)[:, None, None, None]
        for layer in network.weight_layers
    ]
    network.fold()
    assert network.folded
    for layer, codes, sign in zip(network.weight_layers, before, signs, strict=True):
        flipped = codes * torch.as_tensor(sign).to(torch.int64)
        same = layer.quantiser.codes(layer.kept_weight()) == flipped
        assert float(same.double().mean()) > 0.95  # an exact half may round the other way


def test_each_phase_ends_in_hardwares_arithmetic(few):
    """Only folded epochs are kept, and the kept network answers as its integers do."""
    trained = train(NETWORK, TERNARY, few, PHASES)
    assert [epoch.quantised for epoch in trained.history] == [False] * 4 + [True] * 2
    assert all(epoch.quantised for epoch in trained.history if epoch.kept)
    _, integer = lower(trained, 8)
    images = few.validation.images
    found = reference.run(integer, reference.quantise_input(integer, images))
    logits = found[integer.layers[-1].output]
    same = logits.reshape(len(images), -1).argmax(1) == answers(trained.network, images)
    assert same.all()


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_resumed_phases_equal_uninterrupted_ones(few, tmp_path, stop):
    class Stop(Exception):
        pass

    def halt(done: int, *_: float) -> None:
        if done == stop:
            raise Stop

    whole = train(NETWORK, TERNARY, few, PHASES)
    with contextlib.suppress(Stop):
        train(NETWORK, TERNARY, few, PHASES, checkpoint=tmp_path / "run.pt", progress=halt)
    again = train(NETWORK, TERNARY, few, PHASES, checkpoint=tmp_path / "run.pt")
    assert again.history == whole.history
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def test_an_average_follows_and_lags():
    line = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(line.weight)
    average = Average(line, steps=50)
    nn.init.ones_(line.weight)
    found = []
    for _ in range(200):
        average.update()
        found.append(average.network.weight.item())
    assert found == sorted(found)
    assert 0 < found[0] < 1
    assert found[-1] > 0.95


def test_pruned_blocks_stay_zero_beside_an_average(few):
    block = BlockShape(4, 1)
    pruning = Pruning(0.5, (("conv2d3", block),))
    names = [layer.name for layer in NETWORK.layers]
    assert "conv2d3" in names
    train(NETWORK, TERNARY, few, dataclasses.replace(PHASES, pruning=pruning))  # else ModelError


def test_products_in_bfloat16_train_as_well(few):
    rounded = train(NETWORK, TERNARY, few, dataclasses.replace(PHASES, bfloat16=True))
    exact = train(NETWORK, TERNARY, few, PHASES)
    assert rounded.history != exact.history
    assert abs(rounded.validation_accuracy - exact.validation_accuracy) < 0.15


def test_a_teacher_pulls_the_answers_towards_its_own(few):
    """With labels that say nothing, the network learns what its teacher knows."""
    teacher = train(NETWORK, Quantisation(4, QuantSpec(8, 8)), few, dataclasses.replace(
        PHASES, epochs=30))  # fmt: skip
    labels = np.random.default_rng(1).permutation(few.train.labels)
    blind = dataclasses.replace(few, train=dataclasses.replace(few.train, labels=labels))
    longer = dataclasses.replace(PHASES, epochs=30, augmentation=Augmentation(mirror=True))
    alone = train(NETWORK, TERNARY, blind, longer)
    taught = train(NETWORK, TERNARY, blind, longer, teacher=teacher)
    assert taught.validation_accuracy > alone.validation_accuracy + 0.2


def test_a_teacher_of_other_classes_is_refused(few):
    other = sequential("other", (1, 8, 8), CONV, Linear(4))
    teacher = TrainedNetwork(other, TERNARY, QuantNetwork(other, TERNARY), ())
    with pytest.raises(ModelError, match="4 outputs, digits has 10 classes"):
        train(NETWORK, TERNARY, few, PHASES, teacher=teacher)


def test_a_teacher_answers_mirrored_images_as_such(few):
    torch.manual_seed(0)
    network = QuantNetwork(NETWORK, TERNARY).eval()
    images = torch.from_numpy(few.train.images[:7])
    logits = teacher_logits(network, images, mirror=True)
    with torch.no_grad():
        torch.testing.assert_close(logits[0], network(images))
        torch.testing.assert_close(logits[1], network(images.flip(3)))
    assert len(teacher_logits(network, images, mirror=False)) == 1


def test_a_machine_settles_bfloat16_for_all_of_a_study(few, monkeypatch, tmp_path):
    large = dataclasses.replace(few, shape=(3, 32, 32))
    for flags, fast in (("flags: fpu amx_bf16", True), ("flags: avx512_bf16", False)):
        cpus = tmp_path / "cpuinfo"
        cpus.write_text(flags)
        monkeypatch.setattr(choices, "_CPUINFO", cpus)
        assert choices.fast_bfloat16() is fast
        assert TrainingChoices().settled(large).bfloat16 == (True if fast else None)
        assert TrainingChoices(bfloat16=False).settled(large).bfloat16 is False
        assert TrainingChoices().settled(few) == TrainingChoices()  # small images are not faster
    monkeypatch.setattr(choices, "_CPUINFO", tmp_path / "none")
    assert not choices.fast_bfloat16()


def test_a_long_training_of_large_images_decays_smooths_and_changes_them_more(few):
    large = dataclasses.replace(few, shape=(3, 32, 24), augmentation="shift+mirror")
    enough = -(-choices.LONG_IMAGES // len(few.train))
    assert TrainingChoices().lasting(large, enough - 1) == TrainingChoices()
    found = TrainingChoices(label_smoothing=0.0).lasting(large, enough)
    assert found == TrainingChoices(
        shift_rows=4, shift_columns=3, cutout=6, weight_decay=0.02, label_smoothing=0.0
    )
    plain = TrainingChoices().lasting(dataclasses.replace(large, augmentation="mirror"), enough)
    assert plain == TrainingChoices(weight_decay=0.02, label_smoothing=0.1)
    assert TrainingChoices().lasting(few, enough) == TrainingChoices()  # small images


def test_batch_norms_are_estimated_on_all_batches_alike():
    torch.manual_seed(0)
    network = QuantNetwork(NETWORK, TERNARY)
    batches = torch.randint(0, 256, (3, 50, 1, 8, 8))
    network.quantise(batches[0], fold=False)
    network.estimate_norms(batches)
    assert not network.training
    layer = network.weight_layers[0]
    weight = layer.quantiser(layer.kept_weight())
    with torch.no_grad():
        sums = [layer.sums(network.input(batch), weight).mean(dim=(0, 2, 3)) for batch in batches]
    torch.testing.assert_close(layer.batch_norm.running_mean, torch.stack(sums).mean(dim=0))


def test_a_last_batch_of_one_image_is_left_out_of_the_statistics(few):
    """A batch norm over a map of 1x1 has nothing to normalise one image by."""
    whole = Conv2d(8, (8, 8), batch_norm=True, relu=True)
    network = sequential("whole", (1, 8, 8), whole, Linear(10))
    odd = dataclasses.replace(few, train=few.train.take(np.arange(33)))
    how = dataclasses.replace(PHASES, batch_size=16)
    assert len(train(network, TERNARY, odd, how).history) == PHASES.epochs
