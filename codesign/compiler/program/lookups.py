"""Activation tables: which one each layer looks its codes up in, and their image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.integer.network import IntegerNetwork, MacLayer
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import ACTIVATION_TABLES, TABLE_POSITION


def tables(network: IntegerNetwork) -> list[bytes]:
    """Return the distinct look-up tables of a network, as bytes, in the order of their layers."""
    looked_up = (layer for layer in network.mac_layers if layer.lookup)
    return list(dict.fromkeys(_content(network, layer) for layer in looked_up))


def table_count(network: IntegerNetwork) -> int:
    """Return how many activation tables an NPU needs for a network: one of ACTIVATION_TABLES.

    The largest where none is enough.
    """
    need = len(tables(network))
    return next((n for n in ACTIVATION_TABLES if n >= need), ACTIVATION_TABLES[-1])


def number(network: IntegerNetwork, layer: MacLayer) -> int:
    """Return a layer's value of the LAYER field ``table``: 1 + its place in ``tables``, or 0."""
    return 1 + tables(network).index(_content(network, layer)) if layer.lookup else 0


def add(network: IntegerNetwork, config: NpuConfig, image: NDArray[np.uint32]) -> None:
    """Write the tables into the image of the channel table, in place.

    image: uint32 (channel_words, 2 * post_units), with a word for each entry of all tables.
    """
    for place, content in enumerate(tables(network), 1):
        first = place % config.activation_tables << config.activation_bits
        entries = np.frombuffer(content, np.uint8).astype(np.uint32) << TABLE_POSITION
        image[first : first + len(entries), 1::2] |= entries[:, None]


def _content(network: IntegerNetwork, layer: MacLayer) -> bytes:
    """Return a layer's table; before scales are known, a stand-in by the name of a shared table."""
    assert layer.lookup
    if network.blank:
        return f"{layer.lookup.table}/{'' if layer.lookup.table else layer.name}".encode()
    return layer.lookup.codes.astype(np.uint8).tobytes()
