"""The vectorised layer table of candidates equals lowering each candidate's graph."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codesign.cost.cycles.layers import LayerTable
from codesign.search.space.declaration import load_declaration
from codesign.search.space.encoding import SearchSpace
from codesign.search.space.tables import layer_table
from codesign.search.space.topology import network
from models.integer.lower import shape_only
from tests.codesign.search.spaces import concats, every_block, mixed_patterns

SPACES = [("digits", (1, 8, 8)), ("images", (1, 28, 28)), ("images", (3, 32, 32)),
          ("images", (3, 9, 13)),
          ("tables", (30, 1, 1)), ("signals", (1, 1, 128)), ("signals", (6, 1, 50)),
          ("signals", (2, 40, 1)), ("digits", (1, 1, 9)),
          ("blocks", (3, 32, 32)), ("blocks", (1, 9, 14)), ("blocks", (2, 1, 40)),
          ("blocks", (3, 3, 3)),
          ("concats", (3, 32, 32)), ("concats", (1, 9, 14)), ("concats", (2, 1, 40)),
          ("patterns", (1, 9, 14))]  # fmt: skip
OWN = {"blocks": every_block, "concats": concats, "patterns": mixed_patterns}


@pytest.mark.parametrize(("name", "shape"), SPACES)
def test_the_table_equals_the_lowered_networks(name: str, shape: tuple[int, int, int]) -> None:
    space = SearchSpace(OWN[name]() if name in OWN else load_declaration(name), shape, 10)
    random = np.random.default_rng(1)
    candidates = space.canonical(random.integers(0, space.sizes, (60, len(space.sizes))))
    table = layer_table(space, candidates)
    lowered = LayerTable.of([shape_only(*network(space, c), 8) for c in candidates])
    slots = lowered.active.shape[1]
    for field in dataclasses.fields(LayerTable):
        written = getattr(table, field.name)
        assert not written[:, slots:].any(), field.name
        np.testing.assert_array_equal(
            written[:, :slots], getattr(lowered, field.name), err_msg=field.name
        )


def test_stages_of_a_single_channel_are_lowered_alike() -> None:
    """An addition or average of one channel is not diagonal; the addition has two weights."""
    shipped = load_declaration("digits")
    network_choices = dataclasses.replace(shipped.network, channels=(1, 2))
    declaration = dataclasses.replace(shipped, network=network_choices)
    space = SearchSpace(declaration, (1, 8, 8), 10)
    random = np.random.default_rng(1)
    candidates = space.canonical(random.integers(0, space.sizes, (60, len(space.sizes))))
    networks = [shape_only(*network(space, c), 8) for c in candidates]
    table, lowered = layer_table(space, candidates), LayerTable.of(networks)
    slots = lowered.active.shape[1]
    np.testing.assert_array_equal(table.diagonal[:, :slots], lowered.diagonal)
    sizes = [
        sum(source.weights.size for layer in net.mac_layers for source in layer.sources)
        for net in networks
    ]
    np.testing.assert_array_equal(lowered.weights.sum(axis=1), sizes)
    assert ((lowered.sources == 2) & (lowered.in_channels == 1)).any()
