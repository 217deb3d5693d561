"""Words of other tools for operators and keys are refused with the layer's name and what to write.

What they are told to write exists here, and computes what it says.
"""

from __future__ import annotations

import dataclasses
import re

import pytest

from models.errors import YamlError
from models.files import yaml_io
from models.graph import yaml as graph_yaml
from models.graph.alternatives import ALTERNATIVES, alternative
from models.graph.layers import OPS
from models.graph.network import NetworkGraph

HEAD = "- {name: image, op: input, shape: [4, 8, 8]}\n"
TAIL = "- {name: fc, op: linear, out_features: 10}\n"
KEYS = {field.name for spec in OPS.values() for field in dataclasses.fields(spec)} | {
    "inputs",
    "op",
}


def read(layer: str) -> NetworkGraph:
    return graph_yaml.read_graph(yaml_io.load(f"{HEAD}- {{name: c, {layer}}}\n{TAIL}", "n"), "net")


def refusal(layer: str) -> str:
    """Return the message that refuses a layer called c, on line 2."""
    with pytest.raises(YamlError, match=r"^n:2: .*layer c\b") as caught:
        read(layer)
    return str(caught.value)


@pytest.mark.parametrize("word", [word for word in ALTERNATIVES if word not in OPS])
def test_operators_and_keys_of_other_tools_are_refused_with_what_to_write(word: str) -> None:
    assert ALTERNATIVES[word] in refusal(f"op: {word}")
    if word not in KEYS:
        assert ALTERNATIVES[word] in refusal(f"op: conv2d, out_channels: 4, kernel: 3, {word}: 1")


@pytest.mark.parametrize("hint", sorted(set(ALTERNATIVES.values())))
def test_what_is_to_be_written_exists(hint: str) -> None:
    told = re.findall(r"\b(?:use|set|write) (?:a )?(\w+)", hint)
    assert set(told) <= {*OPS, *KEYS, "it"}


@pytest.mark.parametrize(
    "op, key", [("linear", "kernel"), ("max_pool", "groups"), ("global_pool", "stride"),
                ("max_pool", "relu"), ("add", "batch_norm"), ("conv2d", "kind"),
                ("linear", "out_channels"), ("conv2d", "out_features")]
)  # fmt: skip
def test_keys_of_other_layers_are_refused(op: str, key: str) -> None:
    assert f"layer c ({op}): unknown key {key!r}" in refusal(f"op: {op}, {key}: 1")


def test_spellings_of_other_tools_are_known() -> None:
    spellings = {
        "BatchNorm2d": "batch_norm", "LeakyReLU": "leaky_relu", "MaxPool2d": "maxpool",
        "AdaptiveAvgPool2d": "adaptive_avg_pool", "ConvTranspose2d": "conv_transpose",
        "DepthwiseConv2D": "depthwise_conv", "ZeroPad2d": "zero_pad", "log-softmax": "log_softmax",
        "GlobalAveragePool": "global_average_pool", "Conv1d": "conv1d",
    }  # fmt: skip
    for spelling, word in spellings.items():
        assert alternative(spelling) == ALTERNATIVES[word]


def test_paddings_of_other_tools_are_refused() -> None:
    sides = refusal("op: conv2d, out_channels: 4, kernel: 3, padding: [0, 1, 0]")
    assert "[top, left, bottom, right], not a list of 3" in sides
    assert "half of an odd kernel" in refusal("op: max_pool, kernel: 3, padding: same")
    assert "write 0" in refusal("op: conv2d, out_channels: 4, kernel: 3, padding: VALID")


def test_layers_of_one_input_say_how_to_join_several() -> None:
    assert "join them by add or concat" in refusal("op: relu, inputs: [image, image]")


def test_strides_may_differ() -> None:
    assert read("op: conv2d, out_channels: 4, kernel: 3, stride: [1, 2]").shapes["c"] == (4, 6, 3)
