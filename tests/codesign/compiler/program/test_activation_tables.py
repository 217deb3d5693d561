"""Layers that look their codes up: reference, twin and RTL agree, in bits and in cycles."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from codesign import design
from codesign.compiler import compile_network, plan
from codesign.results import InfeasibleError
from models.integer.lower import shape_only
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ConfigError
from tests.codesign.compiler.network_checks import check_against_reference, check_on_the_rtl
from tests.codesign.compiler.random_networks import random_config, random_network
from tests.codesign.cost.closed_form import check_closed_form
from tests.sweep.tables import with_lookups, with_tables


def case(seed: int, tables: int) -> tuple[IntegerNetwork, NpuConfig]:
    """A random network with up to as many tables as an NPU has that holds it."""
    pick, kinds, network = random.Random(seed), set[bool](), None
    while network is None or len(kinds) < 2:  # layers that look codes up, and others
        bits = pick.randint(1, 8)
        network = with_lookups(pick, random_network(pick, bits), tables)
        kinds = {layer.lookup is not None for layer in network.mac_layers if not layer.raw}
    plain = dataclasses.replace(network, layers=tuple(
        dataclasses.replace(layer, lookup=None) if hasattr(layer, "lookup") else layer
        for layer in network.layers
    ))  # fmt: skip
    config = random_config(pick, plain, bits)
    return network, with_tables(network, config, tables)


@pytest.mark.parametrize("seed", range(12))
def test_the_twin_equals_the_reference(seed: int) -> None:
    network, config = case(seed, (1, 2, 4, 8)[seed % 4])
    check_against_reference(network, compile_network(network, config))


@pytest.mark.parametrize(("seed", "tables"), [(3, 1), (6, 2), (9, 4)])
def test_the_rtl_equals_the_reference(seed: int, tables: int) -> None:
    network, config = case(seed, tables)
    check_on_the_rtl(network, compile_network(network, config), seed, stall=0.2)


def test_a_network_is_refused_where_there_are_too_few_tables() -> None:
    network, config = case(1, 8)
    assert len({id(layer.lookup) for layer in network.mac_layers if layer.lookup}) > 1
    with pytest.raises(InfeasibleError, match=r"[2-8] tables"):
        plan(network, dataclasses.replace(config, activation_tables=1))
    with pytest.raises(InfeasibleError, match=r"set npu\.activation_tables to"):
        plan(network, dataclasses.replace(config, activation_tables=0))


def test_tables_need_as_many_words_of_the_channel_table() -> None:
    with pytest.raises(ConfigError, match="channel_depth must be at least 512"):
        NpuConfig(activation_bits=8, activation_tables=2, channel_depth=256)


def test_the_closed_form_counts_the_latency() -> None:
    network, config = case(5, 2)
    check_closed_form(network, [config])


def test_a_design_gets_the_tables_that_its_network_needs(tmp_path: Path) -> None:
    """Two layers of one function count as two, as scales are not known yet."""
    (tmp_path / "curved.yaml").write_text("""
name: curved
dataset: {name: digits}
network:
- {name: image, op: input, shape: [3, 8, 8]}
- {name: conv1, op: conv2d, out_channels: 8, kernel: 3}
- {name: silu1, op: activation, function: silu}
- {name: conv2, op: conv2d, out_channels: 8, kernel: 3}
- {name: silu2, op: activation, function: silu}
- {name: pool, op: global_pool}
- {name: gate, op: activation, function: sigmoid}
- {name: logits, op: linear, out_features: 4}
quantisation: {default: {weight_bits: 4, activation_bits: 8}}
""")
    found = design.load(tmp_path / "curved.yaml")
    assert (found.npu.activation_tables, found.npu.channel_depth) == (4, 1024)
    network = shape_only(found.network, found.quantisation, found.npu.scale_bits)
    assert [layer.name for layer in network.mac_layers if layer.lookup] == [
        "conv1", "conv2", "pool",
    ]  # fmt: skip
