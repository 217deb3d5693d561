"""Network graphs: YAML round trips, torch's shapes, passes that keep the function, strict checks.

Every refusal names layer and cure, in YAML also file and line.
"""

from __future__ import annotations

import dataclasses
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError, YamlError
from models.files import yaml_io
from models.graph import yaml as graph_yaml
from models.graph.layers import (
    OPS,
    Add,
    AvgPool,
    Concat,
    Conv2d,
    GlobalPool,
    Input,
    LayerSpec,
    Linear,
    MaxPool,
    Relu,
)
from models.graph.network import Layer, NetworkGraph, sequential
from models.graph.passes import legalise
from models.graph.verifier import verify
from models.quantisation import yaml as quantisation_yaml
from models.quantisation.plan import Quantisation, QuantSpec, knobs
from models.training.layers.weightless import operation
from models.training.network import QuantNetwork
from tests.models.strategies import graphs, pixels, quantisations

RUNS = settings(max_examples=60, derandomize=True, deadline=None)


@RUNS
@given(st.data())
def test_graphs_and_quantisations_survive_the_yaml_round_trip(data):
    graph = data.draw(graphs())
    quantisation = data.draw(quantisations(graph))
    text = yaml_io.dump(
        {
            "network": graph_yaml.graph_items(graph),
            "quantisation": quantisation_yaml.quantisation_items(quantisation, graph),
        }
    )
    nodes = yaml_io.load(text).mapping()
    again = graph_yaml.read_graph(nodes["network"], "random")
    assert again == graph
    expected = dataclasses.replace(quantisation, layers=_effective(quantisation, graph))
    assert quantisation_yaml.read_quantisation(nodes["quantisation"], again) == expected


def _effective(quantisation: Quantisation, graph: NetworkGraph) -> dict[str, QuantSpec]:
    """Return the layers' specs; bits without effect on a layer are the default's."""
    specs = {}
    for name, fields in knobs(graph).items():
        if name in quantisation.layers:
            given = quantisation.layers[name]
            default = quantisation.default
            specs[name] = QuantSpec(
                *(
                    getattr(given if field in fields else default, field)
                    for field in ("weight_bits", "activation_bits")
                ),
                given.sparsity,
            )
    return specs


@RUNS
@given(graphs())
def test_inferred_shapes_are_torch_shapes(graph):
    values = (
        QuantNetwork(graph, Quantisation()).eval().tensors(torch.from_numpy(pixels(graph, 2, 0)))
    )
    legal = legalise(graph)
    assert {name: tuple(v.shape[1:]) for name, v in values.items()} == legal.shapes


@RUNS
@given(graphs())
def test_legalising_keeps_the_function(graph):
    """The passes do not change the logits, and a second time they change nothing."""
    network = QuantNetwork(graph, Quantisation()).eval()
    images = torch.from_numpy(pixels(graph, 2, 0))
    values: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        logits = network(images)
        for layer in graph.layers:
            inputs = [values[name] for name in layer.inputs]
            if isinstance(layer.spec, Conv2d | Linear):
                module = network.weight_layer(layer.name)
                module.relu = layer.spec.relu
                values[layer.name] = module(inputs)
            else:
                values[layer.name] = operation(layer)(inputs) if inputs else network.input(images)
    torch.testing.assert_close(values[graph.output.name].flatten(1), logits)
    assert legalise(network.graph) == network.graph


def test_relu_fuses_only_into_its_single_producer():
    def fused(*extra: Layer, inputs: tuple[str, ...] = ("act",)) -> NetworkGraph:
        layers = [
            Layer("image", Input((1, 4, 4))),
            Layer("conv", Conv2d(2, (1, 1)), ("image",)),
            Layer("act", Relu(), ("conv",)),
            *extra,
            Layer("fc", Linear(2), inputs),
        ]
        return legalise(NetworkGraph("g", layers))

    assert "act" not in fused()
    assert fused()["conv"].spec == Conv2d(2, (1, 1), relu=True)
    shared = fused(Layer("sum", Add(), ("act", "conv")), inputs=("sum",))
    assert shared["act"].spec == Relu()
    assert shared["conv"].spec == Conv2d(2, (1, 1))
    twice = fused(Layer("again", Relu(), ("act",)), inputs=("again",))
    assert [layer.name for layer in twice.layers] == ["image", "conv", "fc"]
    pooled = fused(
        Layer("pool", AvgPool((2, 2), (2, 2)), ("conv",)),
        Layer("late", Relu(), ("pool",)),
        Layer("a", Linear(3), ("act",)),
        Layer("b", Linear(3), ("late",)),
        Layer("sum", Add(), ("a", "b")),
        inputs=("sum",),
    )
    assert "late" in pooled


def test_nested_concats_become_flat():
    layers = [
        Layer("image", Input((1, 4, 4))),
        Layer("a", Conv2d(2, (1, 1), relu=True), ("image",)),
        Layer("b", Conv2d(3, (1, 1), relu=True), ("image",)),
        Layer("inner", Concat(), ("a", "b")),
        Layer("outer", Concat(), ("inner", "a")),
        Layer("fc", Linear(2), ("outer",)),
    ]
    legal = legalise(NetworkGraph("g", layers))
    assert "inner" not in legal
    assert legal["outer"].inputs == ("a", "b", "a_copy")
    assert legal.shapes["outer"] == (7, 4, 4)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Conv2d(0, (3, 3)), "out_channels must be an integer >= 1, not 0"),
        (
            lambda: Conv2d(4, (3, 3), padding=(3, 0)),
            r"padding \(3, 0\) must be smaller than kernel",
        ),
        (lambda: Conv2d(4, (3, 3), groups=3), "groups 3 must divide out_channels 4"),
        (lambda: Conv2d(4, 3), r"kernel must be \(rows, columns\), not 3"),  # type: ignore[arg-type]
        (lambda: MaxPool((2, 2), (2, 2), (2, 2)), "at most half of the pooling kernel"),
        (lambda: GlobalPool("min"), "kind must be one of max, avg, not 'min'"),
        (lambda: Input((1, 0, 3)), "shape must be an integer >= 1, not 0"),
        (lambda: Linear(-1), "out_features must be an integer >= 1"),
        (lambda: QuantSpec(9, 4), r"weight_bits must be 1..8, not 9"),
        (lambda: QuantSpec(4, 0), r"activation_bits must be 1..8, not 0"),
        (lambda: Quantisation(input_bits=12), r"input_bits must be 1..8, not 12"),
    ],
)
def test_specs_check_themselves(make, message):
    with pytest.raises(ModelError, match=message):
        make()


def _graph(*layers: Layer) -> NetworkGraph:
    return NetworkGraph("g", [Layer("image", Input((2, 4, 4))), *layers])


FC = Layer("fc", Linear(3), ("image",))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: _graph(FC, Layer("loose", Linear(3), ("image",))), "fc, loose; remove the dang"),
        (lambda: NetworkGraph("g", []), "exactly one input layer, not 0"),
        (lambda: _graph(Layer("b", Input((1, 1, 1))), FC), "exactly one input layer, not 2"),
        (lambda: _graph(FC, FC), "two layers are named 'fc'"),
        (
            lambda: _graph(Layer("fc", Linear(3), ("imag",))),
            "layer fc reads 'imag'; did you mean 'image'",
        ),
        (lambda: _graph(Layer("1c", Linear(3), ("image",))), "layer name '1c' must be a letter"),
        (lambda: _graph(Layer("fc", Linear(3), ())), "layer fc: linear takes 1 inputs, not 0"),
        (
            lambda: _graph(Layer("a", Add(), ("image", "b")), Layer("b", Relu(), ("a",))),
            "form a cycle",
        ),
        (lambda: _graph(Layer("r", Relu(), ("image",))), "layer r: the output must be a linear"),
        (lambda: _graph(Layer("fc", Linear(3, relu=True), ("image",))), "set relu: false"),
        (
            lambda: _graph(
                Layer("c", Conv2d(3, (5, 5)), ("image",)), Layer("fc", Linear(3), ("c",))
            ),
            r"layer c \(conv2d\): kernel 5x5 is larger than its padded input 4x4",
        ),
        (
            lambda: _graph(Layer("c", Conv2d(3, (1, 1), groups=3), ("image",))),
            "groups 3 must divide the 2 input channels",
        ),
        (
            lambda: _graph(
                Layer("c", Conv2d(3, (1, 1)), ("image",)), Layer("s", Add(), ("image", "c"))
            ),
            r"layer s \(add\): inputs of add must have equal shapes",
        ),
        (
            lambda: _graph(
                Layer("c", Conv2d(3, (3, 3)), ("image",)), Layer("s", Concat(), ("image", "c"))
            ),
            "equal rows and columns, not 4x4, 2x2",
        ),
    ],
)
def test_verifier_names_layer_and_cure(make, message):
    with pytest.raises(ModelError, match=message):
        verify(make())


def test_unknown_spec_is_refused():
    class Softmax(LayerSpec):
        op = "softmax"

    with pytest.raises(ModelError, match="layer s: op 'softmax' is not supported: leave it out"):
        verify(_graph(Layer("s", Softmax(), ("image",))))


HEAD = "- {name: image, op: input, shape: [1, 8, 8]}\n"
TAIL = "- {name: fc, op: linear, out_features: 10}\n"


@pytest.mark.parametrize(
    "text, message",
    [
        (HEAD + "- {name: c, op: conv3d}\n" + TAIL, "n.yaml:2: .*layer c: .*use conv2d"),
        (HEAD + "- {name: c, op: softmax}\n" + TAIL, "n.yaml:2: .*leave it out: the largest logit"),
        (
            HEAD + "- {name: c, op: conv2d, out_chanels: 4, kernel: 3}\n" + TAIL,
            "n.yaml:2: .*unknown key 'out_chanels'; did you mean 'out_channels'",
        ),
        (HEAD + "- {name: c, op: conv2d, kernel: 3}\n" + TAIL, "n.yaml:2: .*missing key out_chan"),
        (HEAD + "- {op: relu}\n" + TAIL, "n.yaml:2: .*missing key name"),
        (HEAD + "- {name: image, op: relu}\n" + TAIL, r"n.yaml:2: .*given twice \(first: line 1\)"),
        (
            HEAD + "- {name: c, op: conv2d, out_channels: 4, kernel: 9}\n" + TAIL,
            "n.yaml:2: .*kernel 9x9 is larger than its padded input 8x8",
        ),
        (
            HEAD + "- name: c\n  op: conv2d\n  out_channels: 4\n  kernel: 3\n  padding: 4\n" + TAIL,
            "n.yaml:6: padding .* must be smaller than kernel",
        ),
        (HEAD + "- {name: c, op: add, inputs: [image]}\n" + TAIL, "n.yaml:2: .*least 2 inputs"),
        (HEAD, "n.yaml:1: .*the output must be a linear layer"),
        ("a: 1", "n.yaml:1: must be a list, not a mapping"),
    ],
)
def test_network_yaml_refusals_name_the_line(text, message):
    with pytest.raises(YamlError, match=message):
        graph_yaml.read_graph(yaml_io.load(text, "n.yaml"), "net")


def test_pooling_stride_defaults_to_its_kernel():
    text = HEAD + "- {name: p, op: max_pool, kernel: [2, 4]}\n" + TAIL
    graph = graph_yaml.read_graph(yaml_io.load(text), "net")
    assert graph["p"].spec == MaxPool((2, 4), (2, 4))


QUANT_GRAPH = sequential(
    "q", (1, 8, 8), Conv2d(4, (3, 3), relu=True), MaxPool((2, 2), (2, 2)), GlobalPool(), Linear(3)
)


@pytest.mark.parametrize(
    "text, message",
    [
        ("layers: {conv: {weight_bits: 2}}", "no layer is named 'conv'; did you mean 'conv2d1'"),
        ("layers: {max_pool2: {}}", r"layer max_pool2 \(max_pool\) has no bits of its own"),
        ("layers: {linear4: {activation_bits: 3}}", "unknown key 'activation_bits'"),
        ("layers: {global_pool3: {weight_bits: 3}}", "unknown key 'weight_bits'"),
        ("layers: {conv2d1: {weight_bits: 9}}", r"must be 1..8, not 9"),
        ("default: {weight_bits: 0}", r"weight_bits must be 1..8, not 0"),
        ("input_bits: 0", r"input_bits: must be 1..8, not 0"),
    ],
)
def test_quantisation_yaml_refuses_what_has_no_effect(text, message):
    with pytest.raises(YamlError, match=f"q.yaml:1: .*{message}|q.yaml:1: {message}"):
        quantisation_yaml.read_quantisation(yaml_io.load(text, "q.yaml"), QUANT_GRAPH)


def test_quantisation_of_unknown_layers_is_refused():
    with pytest.raises(ModelError, match="no layer is named 'c1'"):
        QuantNetwork(QUANT_GRAPH, Quantisation(layers={"c1": QuantSpec()}))


def test_quantisations_travel_between_processes_and_hash():
    one = Quantisation(4, QuantSpec(2, 3), {"a": QuantSpec(1, 1)})
    assert pickle.loads(pickle.dumps(one)) == one
    assert hash(pickle.loads(pickle.dumps(one))) == hash(one)


def test_every_op_has_a_yaml_word_and_a_docstring():
    assert all(spec.op == word and spec.__doc__ for word, spec in OPS.items())
