"""Block pruning: the lightest blocks go, the schedule is kept, and trained weights have the zeros.

Also boxes of kept blocks per tile, resuming, and layers without blocks.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError
from models.graph.layers import Conv2d, Linear, MaxPool
from models.graph.network import sequential
from models.integer.lower import lower
from models.quantisation import blocks
from models.quantisation.blocks import BlockShape, Pruning, zero_blocks
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import Sparsity, violation
from models.training.loop import train
from models.training.network import QuantNetwork
from models.training.pruning import Pruner
from models.training.schedule import TrainSettings, pruned_share
from models.training.trained import TrainedNetwork
from tests.models.training.test_training import CNN, QUICK, digits, few

__all__ = ["digits", "few"]  # fixtures

RUNS = settings(max_examples=60, derandomize=True, deadline=None)
sizes = st.builds(BlockShape, st.integers(1, 9), st.integers(1, 9))
BLOCKS = (
    ("conv2d2", BlockShape(8, 4)),
    ("conv2d4", BlockShape(16, 8)),
    ("linear6", BlockShape(5, 8)),
)


@st.composite
def _weights(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(*(st.integers(1, most) for most in (12, 12, 2, 3))))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    return random.integers(-3, 4, shape) * (random.random(shape) < draw(st.floats(0, 1)))


def _cut(weights: np.ndarray, block: BlockShape) -> list[np.ndarray]:
    """Return every block of the weights."""
    out, channels, rows, cols = weights.shape
    starts = range(0, out, block.out_channels), range(0, channels, block.in_channels)
    return [
        weights[o : o + block.out_channels, i : i + block.in_channels, row, col]
        for o, i, row, col in itertools.product(*starts, range(rows), range(cols))
    ]


@RUNS
@given(_weights(), sizes)
def test_weights_are_summed_over_each_block(weights, block):
    cut = _cut(weights, block)
    assert [abs(part).sum() for part in cut] == block.sums(weights).ravel().tolist()
    assert zero_blocks(weights, block) == sum(not part.any() for part in cut)


@RUNS
@given(_weights(), sizes, st.floats(0.01, 0.99))
def test_the_lightest_blocks_go(weights, block, share):
    stay = blocks.kept(weights, block, share)
    assert stay.shape == weights.shape
    parts = [(part.all(), part.any()) for part in _cut(stay, block)]
    assert all(everything == something for everything, something in parts)
    weight = [abs(part).sum() for part in _cut(weights, block)]
    gone = [w for w, (stays, _) in zip(weight, parts, strict=True) if not stays]
    left = [w for w, (stays, _) in zip(weight, parts, strict=True) if stays]
    assert len(gone) == min(round(len(weight) * share), len(weight) - 1)
    assert max(gone, default=0) <= min(left)


def _boxes(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return every box of consecutive indices in an array of that shape."""
    ends = (itertools.combinations(range(size + 1), 2) for size in shape)
    return [tuple(slice(*pair) for pair in box) for box in itertools.product(*ends)]


@RUNS
@given(_weights(), sizes, st.floats(0.01, 0.99))
def test_the_heaviest_box_of_each_tile_stays(weights, block, share):
    """Compared with every box of the tile."""
    stay = blocks.kept_box(weights, block, share)
    energy, left = block.sums(weights**2), block.sums(stay) > 0
    assert np.array_equal(block.spread(left, weights.shape), stay)
    boxes = _boxes(energy.shape[1:])
    for tile, places in zip(energy, left, strict=True):
        most = tile.size - blocks.wanted(tile.size, share)
        fits = [box for box in boxes if tile[box].size <= most]
        assert places.sum() <= most
        assert any(places[box].all() and places[box].size == places.sum() for box in fits)
        assert tile[places].sum() == max(tile[box].sum() for box in fits)


def test_pruning_follows_the_cubic_schedule():
    plan = TrainSettings(epochs=10, float_share=0.4, pruning=Pruning(0.8, BLOCKS))
    shares = [pruned_share(plan, epoch) for epoch in (0, 1, 2, 3, 4, 7, 10)]
    assert shares == pytest.approx([0, 0.4625, 0.7, 0.7875, 0.8, 0.8, 0.8])
    assert pruned_share(dataclasses.replace(plan, float_share=0), 0) == 0.8
    assert pruned_share(QUICK, 5) == 0


@pytest.mark.parametrize("boxed", [False, True], ids=["anywhere", "boxes"])
@pytest.mark.parametrize("sparsity", [None, Sparsity(2, 4)])
def test_a_trained_network_has_the_blocks_that_were_asked_for(few, tmp_path, sparsity, boxed):
    pruning = Pruning(0.5, BLOCKS, boxed)
    plan = dataclasses.replace(QUICK, epochs=4, pruning=pruning)
    quantisation = Quantisation(4, QuantSpec(4, 4, sparsity))
    trained = train(CNN, quantisation, few, plan)
    trained.save(tmp_path / "net")
    for network in (trained, TrainedNetwork.load(tmp_path / "net")):
        _, integer = lower(network, 8)
        weights = {layer.name: layer.sources[0].weights for layer in integer.mac_layers}
        for name, block in BLOCKS:
            found = block.sums(weights[name])
            least = pruning.least(len(found), found.size)
            assert zero_blocks(weights[name], block) >= least >= found.size // 2 - len(found)
            if boxed:
                mask = blocks.kept_box(weights[name], block, 0.5)
                np.testing.assert_array_equal(weights[name] * mask, weights[name])
        assert zero_blocks(weights["conv2d1"], BlockShape(8, 1)) == 0
        for layer in integer.mac_layers:
            if layer.sparsity:
                assert violation(layer.sources[0].weights, layer.sparsity) is None


def test_a_pruned_run_goes_on_from_its_checkpoint(few, tmp_path):
    plan = dataclasses.replace(QUICK, epochs=4, boo=1.0, pruning=Pruning(0.5, BLOCKS))
    quantisation = Quantisation(4, QuantSpec(4, 4, Sparsity(2, 4)))
    whole = train(CNN, quantisation, few, plan)

    class Killed(Exception):
        pass

    def kill(done: int, *_: object) -> None:
        if done in (1, 3):
            raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            train(CNN, quantisation, few, plan, checkpoint=tmp_path / "run", progress=kill)
    resumed = train(CNN, quantisation, few, plan, checkpoint=tmp_path / "run")
    assert resumed.history == whole.history
    other = dataclasses.replace(plan, boo=2.0)
    with pytest.raises(ModelError, match="is the checkpoint of another run"):
        train(CNN, quantisation, few, other, checkpoint=tmp_path / "run")


def test_too_few_zero_blocks_are_noticed():
    network = QuantNetwork(CNN, Quantisation())
    network.quantise(torch.zeros(1, 1, 8, 8))
    pruner = Pruner(network, Pruning(0.5, BLOCKS))
    with pytest.raises(ModelError, match="layer conv2d2: 0 blocks are zero, 72 were wanted"):
        pruner.verify()
    pruner.apply(0.5)
    pruner.verify()


GROUPED = sequential(
    "net", (4, 4, 4), Conv2d(4, (3, 3), groups=2), MaxPool((2, 2), (2, 2)), Linear(3)
)


@pytest.mark.parametrize(
    "name, bits, message",
    [
        ("conv", 4, "zero blocks: no layer 'conv' has weights; .*known: conv2d1, linear3"),
        ("max_pool2", 4, "no layer 'max_pool2' has weights"),
        ("conv2d1", 4, "layer conv2d1: zero blocks are for layers of groups: 1"),
        ("linear3", 1, "layer linear3: zero blocks need a 0, which 1-bit weights do not have"),
    ],
)
def test_layers_without_blocks_are_refused(name, bits, message):
    network = QuantNetwork(GROUPED, Quantisation(default=QuantSpec(bits, 4)))
    with pytest.raises(ModelError, match=message):
        Pruner(network, Pruning(0.5, ((name, BlockShape(2, 2)),)))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ModelError, match="share of zero blocks must be between 0 and 1, not 1"):
        Pruning(1, BLOCKS)
    with pytest.raises(ModelError, match="a block spans 1 or more channels each way, not 0x4"):
        BlockShape(0, 4)
