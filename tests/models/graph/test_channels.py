"""Channels that go together: ties by adds, depthwise layers and concats, and what is never cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.graph.channels import channel_map, without
from models.graph.layers import Add, Concat, Conv2d, Input, LayerSpec, Linear
from models.graph.network import Layer, NetworkGraph
from models.graph.passes import legalise
from models.graph.verifier import verify
from tests.models.strategies import graphs


def graph(*layers: tuple[str, LayerSpec, str]) -> NetworkGraph:
    return NetworkGraph("g", [Layer(name, spec, tuple(i.split())) for name, spec, i in layers])


RESIDUAL = graph(
    ("image", Input((3, 8, 8)), ""),
    ("a", Conv2d(4, (3, 3), padding=(1, 1)), "image"),
    ("deep", Conv2d(8, (3, 3), padding=(1, 1), groups=4), "a"),
    ("b", Conv2d(8, (1, 1)), "image"),
    ("sum", Add(), "deep b"),
    ("c", Conv2d(5, (1, 1)), "image"),
    ("join", Concat(), "c sum"),
    ("head", Linear(7, relu=True), "join"),
    ("tail", Conv2d(7, (1, 1)), "head"),
    ("fc", Linear(3), "tail"),
)


def test_ties_and_what_is_never_cut() -> None:
    found = channel_map(RESIDUAL)
    # Two outputs of the depthwise layer are of one channel of its input, so two of b's are, too.
    assert found.tensors["sum"] == tuple(("a", k // 2) for k in range(8))
    assert found.tensors["b"] == found.tensors["deep"]
    assert {name: len(own) for name, own in found.groups.items()} == {
        "a": 4, "c": 5, "head": 7, "tail": 7,
    }  # fmt: skip
    two = Layer("c", Conv2d(6, (1, 1), groups=2), ("b",))
    grouped = channel_map(RESIDUAL.edited(replace=[two]))
    assert set(grouped.groups) == {"head", "tail"}  # grouped layers' inputs and outputs all stay


def test_a_cut_graph_has_the_channels_that_stay() -> None:
    gone = {("a", 1), ("c", 0), ("c", 4), ("head", 2)}
    shapes = verify(without(RESIDUAL, gone)).shapes
    assert {name: shape[0] for name, shape in shapes.items()} == {
        "image": 3, "a": 3, "deep": 6, "b": 6, "sum": 6, "c": 3, "join": 9, "head": 6, "tail": 7,
        "fc": 3,
    }  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_graphs_stay_sound_and_passes_keep_the_channels(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    found, legal = channel_map(graph), channel_map(legalise(graph))
    assert dict(found.groups) == dict(legal.groups)
    for name in set(found.tensors) & set(legal.tensors):
        assert found.tensors[name] == legal.tensors[name]
    gone = set()
    for own in found.groups.values():
        gone |= set(data.draw(st.lists(st.sampled_from(own), max_size=len(own) - 1)))
    if any(set(own) <= gone for own in found.tensors.values()):
        return
    cut = verify(without(graph, gone))
    for name, shape in cut.shapes.items():
        assert shape[1:] == graph.shapes[name][1:]
        assert shape[0] == sum(one not in gone for one in found.tensors[name])


def test_shapes_that_do_not_fit_are_told() -> None:
    from models.errors import ModelError

    with pytest.raises(ModelError, match="equal shapes"):
        channel_map(graph(("i", Input((3, 4, 4)), ""), ("a", Linear(3), "i"), ("s", Add(), "a i")))
