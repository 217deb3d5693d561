"""Cases with activation tables: some layers look their codes up in random ones."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from codesign.compiler import minimal_depths
from models.integer.network import IntegerNetwork, Lookup
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import is_stacked


def with_lookups(pick: random.Random, network: IntegerNetwork, count: int) -> IntegerNetwork:
    """The network, of which some layers look their codes up in one of up to ``count`` tables."""
    rng = np.random.default_rng(pick.randrange(1 << 30))
    known: dict[tuple[int, int], list[Lookup]] = {}
    layers, made = list(network.layers), 0
    for place, layer in enumerate(layers):
        if getattr(layer, "raw", True) or pick.random() < 0.3:
            continue
        bits, top = pick.randint(1, 8), 1 << network.tensors[layer.output].bits
        bits = min(bits, network.tensors[layer.output].bits)
        tables = known.setdefault((bits, top), [])
        if made < count:
            codes = rng.integers(0, top, 1 << bits)
            tables.append(Lookup(codes, bits, int(rng.integers(0, 1 << bits))))
            made += 1
        if tables:
            op = "activation" if layer.op in ("relu", "requantise") else layer.op
            layers[place] = dataclasses.replace(layer, op=op, lookup=pick.choice(tables))
    return dataclasses.replace(network, layers=tuple(layers))


def with_tables(network: IntegerNetwork, config: NpuConfig, tables: int) -> NpuConfig:
    """The NPU with so many activation tables, and memories as deep as the network then needs.

    Memories that external memory relieves stay as they are.
    """
    depth = max(config.channel_depth, tables << config.activation_bits)
    wider = dataclasses.replace(config, activation_tables=tables, channel_depth=depth)
    needed = minimal_depths(network, wider, is_stacked(config.weight_depth))
    names = ("channel_depth", *(() if config.memory_port_bits else ("program_depth",)))
    return dataclasses.replace(wider, **{name: needed[name] for name in names})
