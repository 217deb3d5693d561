"""The picture of a network is complete and reproducible, and no boxes overlap."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given, settings

from models.graph.drawing import describe, draw
from models.graph.layers import AvgPool, Conv2d, GlobalPool
from models.graph.network import Layer
from models.quantisation.plan import SPARSITY, Quantisation, QuantSpec, bit_notes, knobs
from models.quantisation.sparsity import Sparsity
from tests.models.strategies import graphs

SVG = "{http://www.w3.org/2000/svg}"


@settings(max_examples=40, derandomize=True, deadline=None)
@given(graphs(max_layers=9))
def test_every_layer_has_a_box_of_its_own(graph):
    text = draw(graph, bit_notes(graph, Quantisation(5, QuantSpec(3, 2))))
    assert text == draw(graph, bit_notes(graph, Quantisation(5, QuantSpec(3, 2))))
    root = ET.fromstring(text)
    boxes = [
        tuple(float(rect.get(key, "")) for key in ("x", "y", "width", "height"))
        for rect in root.iterfind(f"{SVG}g/{SVG}rect")
    ]
    words = [node.text for node in root.iter(f"{SVG}text")]
    assert len(boxes) == len(graph.layers)
    assert {layer.name for layer in graph.layers} <= set(words)
    assert any(word and "a5" in word for word in words)
    sparse = draw(graph, bit_notes(graph, Quantisation(5, QuantSpec(3, 2, Sparsity(2, 4)))))
    assert sum("2:4" in line for line in sparse.split("</text>")) == sum(
        SPARSITY in fields for fields in knobs(graph).values()
    )
    for i, (x, y, width, height) in enumerate(boxes):
        assert x >= 0
        assert x + width <= float(root.get("width", ""))
        assert y + height <= float(root.get("height", ""))
        for other_x, other_y, _, _ in boxes[:i]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height
    edges = sum(len(set(layer.inputs)) for layer in graph.layers)
    assert len(re.findall("marker-end", text)) == edges


def test_a_layer_is_described_by_its_kernel_stride_groups_and_fusions():
    conv = Conv2d(8, (3, 3), (2, 2), (1, 1), 4, batch_norm=True, relu=True)
    assert describe(Layer("c", conv)) == "conv2d 3×3 /2 groups 4 + bn + relu"
    assert describe(Layer("p", AvgPool((2, 3), (1, 1)))) == "avg_pool 2×3"
    assert describe(Layer("g", GlobalPool())) == "global_pool avg"
