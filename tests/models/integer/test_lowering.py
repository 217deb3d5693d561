"""Lowering to integers is exact: the frozen torch network and the reference compute the same codes.

The trained network differs from them by rounding only; shapes are those that the estimate used.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models import arithmetic
from models.graph.layers import (
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    Linear,
    MaxPool,
    Relu,
)
from models.graph.network import Layer, NetworkGraph, sequential
from models.integer import reference
from models.integer.lower import lower, shape_only
from models.integer.network import ConcatLayer, IntegerNetwork, MacLayer
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.trained import TrainedNetwork
from tests.models.strategies import graphs, pixels, quantisations, trained_networks, untrained

RUNS = settings(max_examples=40, derandomize=True, deadline=None)


def _both(trained: TrainedNetwork, images: np.ndarray, scale_bits: int = 8):
    """Return the integer network and the codes of every tensor, by reference and by torch."""
    frozen, network = lower(trained, scale_bits)
    values = reference.run(network, reference.quantise_input(network, images))
    real = frozen.tensors(torch.from_numpy(images))
    codes = {name: frozen.codes(name, real[name]).reshape(v.shape) for name, v in values.items()}
    return network, values, codes


@RUNS
@given(trained_networks(), st.integers(0, 2**16))
def test_frozen_network_equals_reference_code_for_code(trained, seed):
    images = pixels(trained.graph, 8, seed)
    scale_bits = trained.network.scale_bits
    network, values, codes = _both(trained, images, scale_bits)
    assert set(values) == set(network.tensors)
    for name, expected in values.items():
        np.testing.assert_array_equal(codes[name], expected, err_msg=name)


@RUNS
@given(trained_networks(), st.integers(0, 2**16))
def test_trained_network_stays_within_one_step_of_reference(trained, seed):
    """Layer by layer, on the reference's inputs: float32 may round a tie the other way."""
    images = pixels(trained.graph, 8, seed)
    _, network = lower(trained, trained.network.scale_bits)
    values = reference.run(network, reference.quantise_input(network, images))
    net, differing, total = trained.network, 0, 0
    first = {layer.output: layer for layer in network.mac_layers}
    for node in net.nodes:
        if node.quantiser is None or node.name not in first or first[node.name].pool:
            continue
        specs = [network.tensors[name] for name in node.inputs if name in network.tensors]
        if len(specs) < len(node.inputs):  # an activation that its producer looks up
            continue
        inputs = [
            torch.from_numpy((values[s.name] - s.zero_point) * s.scale).float() for s in specs
        ]
        scales = [quantiser.scale for quantiser in node.in_quantisers]
        with torch.no_grad():
            out = node.quantiser(node.module.quantised(inputs, scales, node.quantiser.scale))
        spec = network.tensors[node.name]
        got = np.rint(out.numpy() / spec.scale) + spec.zero_point
        error = np.abs(got - values[node.name])
        if not _rescued(first[node.name], network, trained):
            assert error.max(initial=0) <= 1, node.name
            differing += np.count_nonzero(error)
            total += error.size
    assert differing <= 1 + 0.001 * total


def _rescued(layer: MacLayer, network: IntegerNetwork, trained: TrainedNetwork) -> bool:
    """Return True for layers that lowering changed on purpose: scales widened, dead channels."""
    if layer.op not in ("conv2d", "linear"):
        return False
    scales = trained.network.weight_layer(layer.name).quantiser.scale.numpy().ravel()
    in_scale = network.tensors[layer.sources[0].tensor].scale
    wanted = in_scale * scales / network.tensors[layer.output].scale
    largest = ((1 << network.scale_bits) - 1) / 2
    scales = layer.requant_multiplier / 2.0**layer.requant_shift
    return not np.allclose(scales, np.minimum(wanted, largest), rtol=2.0**-network.scale_bits)


@RUNS
@given(trained_networks(), st.integers(0, 2**16))
def test_equal_accumulators_are_equal_logits(trained, seed):
    """Logits of few bits are often equal; torch must then choose the same class."""
    images = pixels(trained.graph, 8, seed)
    frozen, network = lower(trained, trained.network.scale_bits)
    logits = reference.predict(network, images)
    real = frozen(torch.from_numpy(images))
    np.testing.assert_array_equal(real.argmax(dim=1), logits.argmax(axis=1))
    pairs = logits[:, :, None] == logits[:, None, :]
    np.testing.assert_array_equal((real[:, :, None] == real[:, None, :]).numpy(), pairs)
    with torch.no_grad():
        own = trained.network(torch.from_numpy(images))
    last = network.mac_layers[-1]
    step = network.tensors[last.sources[0].tensor].scale
    step *= float(trained.network.weight_layer(last.name).quantiser.scale)
    if np.isclose(step, network.tensors[last.output].scale):  # else it was widened for its bias
        exact = np.abs(own.numpy() / step - logits).max(axis=1) < 0.5
        same = (own[:, :, None] == own[:, None, :]).numpy()
        np.testing.assert_array_equal(same[exact], pairs[exact])


@RUNS
@given(st.data())
def test_shapes_before_training_are_those_of_lowering(data):
    """shape_only gives before training the structure that lower gives after it."""
    graph = data.draw(graphs())
    quantisation = data.draw(quantisations(graph))
    _, real = lower(untrained(graph, quantisation, 0), 8)
    planned = shape_only(graph, quantisation, 8)
    assert [_structure(layer) for layer in planned.layers] == [
        _structure(layer) for layer in real.layers
    ]
    for name, spec in real.tensors.items():
        other = planned.tensors[name]
        assert (spec.shape, spec.bits, spec.signed) == (other.shape, other.bits, other.signed)


def _structure(layer: MacLayer | ConcatLayer) -> tuple[object, ...]:
    if isinstance(layer, ConcatLayer):
        return (layer,)
    shapes = tuple((source.tensor, source.weights.shape) for source in layer.sources)
    place = (layer.name, layer.op, shapes, layer.output, layer.groups, layer.stride)
    place = (*place, layer.padding, layer.dilation, layer.pad_code)
    return (*place, layer.weight_bits, layer.pool, layer.raw)


@RUNS
@given(trained_networks())
def test_integers_keep_their_ranges(trained):
    _, network = lower(trained, 8)
    used = [
        name for layer in network.layers if isinstance(layer, ConcatLayer) for name in layer.inputs
    ]
    assert len(used) == len(set(used))
    assert network.input not in used
    for layer in network.mac_layers:
        low, high = arithmetic.weight_range(layer.weight_bits)
        for source in layer.sources:
            assert low <= source.weights.min()
            assert source.weights.max() <= high
        assert layer.requant_multiplier.min() >= 0
        assert layer.requant_multiplier.max() < 1 << network.scale_bits
        assert layer.requant_shift.min() >= 1
        assert layer.requant_shift.max() <= arithmetic.MAX_SHIFT
    for layer in network.layers:
        if isinstance(layer, ConcatLayer):
            specs = [network.tensors[name] for name in (*layer.inputs, layer.output)]
            assert len({(spec.bits, spec.signed, spec.scale) for spec in specs}) == 1


SMALL = sequential(
    "small", (1, 6, 6), Conv2d(4, (3, 3), padding=(1, 1), relu=True), GlobalPool(), Linear(3)
)


@pytest.mark.parametrize("weight_bits", [1, 2, 8])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e6])
def test_extreme_channels_are_lowered_exactly(weight_bits, scale):
    """Frozen and integer network agree with a dead, a vanishing or an exploding channel."""
    trained = untrained(SMALL, Quantisation(default=QuantSpec(weight_bits, 4)), 1)
    module = trained.network.weight_layer("conv2d1")
    with torch.no_grad():
        module.weight[0] *= scale
        module.bias[0] = 0.4
        module.quantiser.calibrate(module.weight)
    images = pixels(SMALL, 8, 2)
    network, values, codes = _both(trained, images)
    for name, expected in values.items():
        np.testing.assert_array_equal(codes[name], expected)
    if scale < 1:
        assert np.abs(network.mac_layers[0].bias).max() < 1 << 18
        spec = network.tensors["conv2d1"]
        expected = min(round(0.4 / spec.scale), 15)
        assert np.abs(values["conv2d1"][:, 0] - expected).max() <= 1


def test_bias_never_sets_the_accumulator_width():
    """A bias of 1e6 is limited to a value that saturates the output."""
    trained = untrained(SMALL, Quantisation(), 1)
    module = trained.network.weight_layer("conv2d1")
    with torch.no_grad():
        module.bias[0] = 1e6
    network, values, codes = _both(trained, pixels(SMALL, 8, 2))
    layer = network.mac_layers[0]
    largest = 7 * 9 * 255
    assert layer.bias.max() <= (1 + 4) * largest + 1
    assert values["conv2d1"][:, 0].min() == 15
    np.testing.assert_array_equal(codes["conv2d1"], values["conv2d1"])


def test_max_pool_is_fused_only_where_it_costs_nothing():
    def names(pool: MaxPool | GlobalPool) -> list[str]:
        conv = Conv2d(4, (3, 3), relu=True)
        graph = sequential("g", (1, 8, 8), conv, pool, Linear(3))
        network = shape_only(graph, Quantisation(), 8)
        return [layer.name for layer in network.layers]

    assert names(MaxPool((2, 2), (2, 2))) == ["conv2d1", "linear3"]
    assert names(GlobalPool("max")) == ["conv2d1", "linear3"]
    assert names(MaxPool((3, 3), (2, 2))) == ["conv2d1", "max_pool2", "linear3"]
    assert names(MaxPool((2, 2), (2, 2), (1, 1))) == ["conv2d1", "max_pool2", "linear3"]


def test_concat_gets_copies_where_memory_or_steps_ask_for_them():
    layers = [
        Layer("image", Input((2, 4, 4))),
        Layer("a", Conv2d(2, (1, 1), relu=True), ("image",)),
        Layer("b", Conv2d(2, (1, 1)), ("image",)),
        Layer("all", Concat(), ("image", "a", "b", "b")),
        Layer("fc", Linear(3), ("all",)),
    ]
    network = shape_only(NetworkGraph("g", layers), Quantisation(), 8)
    (concat,) = [layer for layer in network.layers if isinstance(layer, ConcatLayer)]
    assert concat.inputs == ("image_copy", "a_copy", "b", "b_copy")
    assert network.tensors["all"].signed
    assert not network.tensors["a"].signed


def test_average_and_add_lower_to_weights_and_scales():
    layers = [
        Layer("image", Input((2, 4, 4))),
        Layer("pool", AvgPool((2, 2), (2, 2)), ("image",)),
        Layer("a", Conv2d(2, (1, 1), relu=True), ("pool",)),
        Layer("sum", Add(relu=True), ("a", "pool")),
        Layer("act", Relu(), ("sum",)),
        Layer("fc", Linear(3), ("act",)),
    ]
    trained = untrained(NetworkGraph("g", layers), Quantisation(), 3)
    _, network = lower(trained, 8)
    pool, _, add, _ = network.mac_layers
    assert (pool.groups, pool.weight_bits, pool.stride) == (2, 2, (2, 2))
    np.testing.assert_array_equal(pool.sources[0].weights, np.ones((2, 1, 2, 2)))
    scale = pool.requant_multiplier[0] / 2.0 ** pool.requant_shift[0]
    wanted = network.tensors["image"].scale / 4 / network.tensors["pool"].scale
    assert scale == pytest.approx(wanted, rel=2**-8)
    assert add.name == "sum"
    assert max(int(source.weights.max()) for source in add.sources) == 127


def test_reference_refuses_wrong_inputs():
    network = shape_only(SMALL, Quantisation(input_bits=2), 8)
    with pytest.raises(ValueError, match="input codes must be"):
        reference.run(network, np.zeros((1, 1, 5, 6), np.uint8))
    with pytest.raises(ValueError, match="below 4, not 4"):
        reference.run(network, np.full((1, 1, 6, 6), 4, np.uint8))


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.data())
def test_convolution_equals_torch_on_any_shape(data):
    groups, per, out = (data.draw(st.integers(1, 3)) for _ in range(3))
    kernel = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    stride = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    magnitude = data.draw(st.sampled_from([15, 1 << 20, 1 << 50]))
    dilation = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))
    x = rng.integers(-magnitude, magnitude, (2, groups * per, 7, 6))
    w = rng.integers(-127, 128, (groups * out, per, *kernel))
    got = reference.convolve(x, w, stride, groups, magnitude, dilation)
    wanted = torch.nn.functional.conv2d(
        torch.from_numpy(x), torch.from_numpy(w), None, stride, 0, dilation, groups
    )
    np.testing.assert_array_equal(got, wanted.numpy())


def test_input_codes_round_to_the_nearest():
    for bits in range(1, 9):
        network = shape_only(SMALL, Quantisation(input_bits=bits), 8)
        pixel = np.arange(256, dtype=np.uint8).reshape(-1, 1, 1, 1)
        codes = reference.quantise_input(network, pixel).ravel()
        top = (1 << bits) - 1
        np.testing.assert_array_equal(codes, np.rint(np.arange(256) * top / 255))
