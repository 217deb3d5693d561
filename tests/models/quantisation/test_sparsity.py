"""N:M sparsity: patterns in YAML and files, violations found, and masks that keep the pattern."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign import design
from models.errors import ModelError, YamlError
from models.files import yaml_io
from models.graph.layers import Conv2d, GlobalPool, Linear, MaxPool
from models.graph.network import NetworkGraph, sequential
from models.integer import files
from models.integer.lower import lower, shape_only
from models.quantisation import masks
from models.quantisation import yaml as quantisation_yaml
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.sparsity import PATTERNS, Sparsity, Violation, check, violation
from tests.models.strategies import graphs, quantisations, untrained
from tests.paths import EXAMPLE

RUNS = settings(max_examples=60, derandomize=True, deadline=None)
DESIGN = EXAMPLE
seeds = st.integers(0, 2**16)
patterns = st.sampled_from([Sparsity(*pattern) for pattern in PATTERNS])
TWO_OF_FOUR = Sparsity(2, 4)

DEPTHWISE = sequential(
    "net",
    (6, 8, 8),
    Conv2d(6, (3, 3), groups=6, relu=True),
    Conv2d(8, (3, 3), relu=True),
    MaxPool((2, 2), (2, 2)),
    Linear(3),
)


# The pattern ---------------------------------------------------------------------------------


@given(patterns)
def test_patterns_are_written_as_they_are_read(sparsity):
    assert Sparsity.parse(str(sparsity)) == sparsity


@pytest.mark.parametrize("value", ["3:4", "2:8", "dense", 124, ""])
def test_other_patterns_are_refused(value):
    with pytest.raises(ModelError, match=r'one of "1:4", "2:4", "4:8" .in quotes., not '):
        Sparsity.parse(value)
    with pytest.raises(ModelError, match="not '2:2'"):
        Sparsity(2, 2)


@st.composite
def _weights(draw: st.DrawFn) -> np.ndarray:
    shape = draw(st.tuples(*(st.integers(1, most) for most in (3, 18, 2, 2))))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    return random.integers(-1, 2, shape) * (random.random(shape) < draw(st.floats(0, 1)))


@RUNS
@given(_weights(), patterns)
def test_the_first_violation_is_named(weights, sparsity):
    out, channels, rows, cols = weights.shape
    groups = range(-(-channels // sparsity.group))
    first = None
    for place in itertools.product(range(out), range(rows), range(cols), groups):
        o, row, col, group = place
        window = weights[o, group * sparsity.group : (group + 1) * sparsity.group, row, col]
        if first is None and np.count_nonzero(window) > sparsity.kept:
            first = Violation(*place)
    assert violation(weights, sparsity) == first
    if first is None:
        check("c", weights, sparsity)
    else:
        low = first.group * sparsity.group
        message = f"layer c: .*output channel {first.out_channel}, .*channels {low}\\.\\."
        with pytest.raises(ModelError, match=message):
            check("c", weights, sparsity)


@given(patterns, st.integers(1, 20))
def test_a_mask_keeps_as_many_weights_as_the_pattern_allows(sparsity, channels):
    kept = masks.mask(torch.ones(1, channels, 1, 1), sparsity)
    assert kept.sum() == sparsity.kept_of(channels)


# YAML and files ------------------------------------------------------------------------------


def _read(text: str, graph: NetworkGraph = DEPTHWISE) -> Quantisation:
    return quantisation_yaml.read_quantisation(yaml_io.load(text, "q.yaml"), graph)


def test_the_default_holds_where_a_pattern_can_be():
    quantisation = _read('default: {sparsity: "2:4"}\nlayers: {linear4: {sparsity: null}}')
    network = shape_only(DEPTHWISE, quantisation, 8)
    assert [layer.sparsity for layer in network.mac_layers] == [None, TWO_OF_FOUR, None]
    text = yaml_io.dump(quantisation_yaml.quantisation_items(quantisation, DEPTHWISE))
    assert _read(text) == quantisation


@pytest.mark.parametrize(
    "text, message",
    [
        ("default: {sparsity: 2:4}", r'sparsity must be one of "1:4", .* .in quotes., not 124'),
        ("default: {sparsity: [2, 4]}", r'default.sparsity: sparsity must be one of "1:4"'),
        ('layers: {conv2d2: {sparsity: "2:3"}}', r"sparsity must be one of .* not '2:3'"),
        ('layers: {conv2d1: {sparsity: "2:4"}}', r"layers.conv2d1.sparsity: sparsity is for"),
        ('layers: {max_pool3: {sparsity: "2:4"}}', "max_pool3 .max_pool. has no bits of its own"),
    ],
)
def test_bad_patterns_are_refused_where_they_stand(text, message):
    with pytest.raises(YamlError, match=f"q.yaml:1: .*{message}"):
        _read(text)


def test_a_pattern_for_a_depthwise_layer_is_refused():
    quantisation = Quantisation(layers={"conv2d1": QuantSpec(sparsity=TWO_OF_FOUR)})
    with pytest.raises(ModelError, match=r"layer conv2d1: sparsity is for linear layers and"):
        shape_only(DEPTHWISE, quantisation, 8)


def test_dense_designs_are_written_without_a_pattern():
    """The text of a design decides its hash and, in a search, seeds."""
    text = design.load(DESIGN).to_yaml()
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert digest == "f62a8de870c39084091e8a0ed25e63679debf72e2094ac4fb3ee380d70d1ea41"
    sparse = text.replace("activation_bits: 4}", 'activation_bits: 4, sparsity: "2:4"}', 1)
    assert design.loads(sparse).quantisation.default.sparsity == TWO_OF_FOUR
    assert design.loads(design.loads(sparse).to_yaml()) == design.loads(sparse)


@RUNS
@given(data=st.data())
def test_integer_files_keep_the_pattern(data, tmp_path_factory):
    graph = data.draw(graphs(max_layers=3))
    network = shape_only(graph, data.draw(quantisations(graph)), 8)
    path = tmp_path_factory.mktemp("io") / "net.npz"
    files.save(network, path)
    again = files.load(path)
    assert [m.sparsity for m in again.mac_layers] == [m.sparsity for m in network.mac_layers]
    header = str(np.load(path)["header"])
    assert ("sparsity" in header) == any(layer.sparsity for layer in network.mac_layers)


# Masks ---------------------------------------------------------------------------------------


@RUNS
@given(st.data())
def test_frozen_weights_keep_the_pattern(data):
    """Any network, at any bits, with scales widened by lowering or not."""
    graph = data.draw(graphs())
    _, network = lower(untrained(graph, data.draw(quantisations(graph)), data.draw(seeds)), 8)
    for layer in network.mac_layers:
        if layer.sparsity:
            assert layer.groups == 1
            assert violation(layer.sources[0].weights, layer.sparsity) is None


@RUNS
@given(patterns, st.integers(1, 20), seeds)
def test_masks_keep_the_largest_weights(sparsity, channels, seed):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randint(-3, 4, (2, channels, 2, 1), generator=generator).float()  # many equal
    kept = masks.mask(weights, sparsity)
    for start in range(0, channels, sparsity.group):
        sizes = weights[:, start : start + sparsity.group].abs()
        chosen = kept[:, start : start + sparsity.group]
        assert (chosen.sum(dim=1) == min(sparsity.kept, sizes.shape[1])).all()
        least = torch.where(chosen, sizes, torch.inf).amin(dim=1)
        assert (torch.where(chosen, 0, sizes).amax(dim=1) <= least).all()


def test_masked_weights_learn_and_decay():
    """SR-STE (arXiv 2102.04010): the gradient reaches all weights, and masked ones decay too."""
    weights = torch.tensor([4.0, -3, 2, -1]).reshape(1, 4, 1, 1).requires_grad_()
    out = masks.masked(weights, TWO_OF_FOUR)
    assert out.flatten().tolist() == [4, -3, 0, 0]
    (out * torch.tensor([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)).sum().backward()
    expected = torch.tensor([1, 2, 3 + 2 * masks.DECAY, 4 - masks.DECAY])
    torch.testing.assert_close(weights.grad.flatten(), expected)


def test_folding_does_not_change_the_choice():
    graph = sequential(
        "net", (8, 6, 6), Conv2d(8, (3, 3), batch_norm=True, relu=True), GlobalPool(), Linear(3)
    )
    trained = untrained(graph, Quantisation(default=QuantSpec(sparsity=TWO_OF_FOUR)), 0)
    module = trained.network.weight_layer("conv2d1")
    before = masks.mask(module.weight, TWO_OF_FOUR)
    with torch.no_grad():
        module.weight.mul_(torch.linspace(-2, 3, 8)[:, None, None, None])
    assert torch.equal(masks.mask(module.weight, TWO_OF_FOUR), before)
