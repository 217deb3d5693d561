"""Cases whose post units compare with thresholds."""

from __future__ import annotations

import dataclasses

from codesign.compiler import accumulator_bits, minimal_depths
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import RANGES, ConfigError, is_stacked


def with_thresholds(network: IntegerNetwork, config: NpuConfig) -> NpuConfig | None:
    """The NPU with threshold units, and activations as narrow as the network's; None if it cannot.

    Memories that external memory relieves stay as they are. Raises InfeasibleError when the network
    fits no memory.
    """
    codes = [spec for name, spec in network.tensors.items() if name != network.layers[-1].output]
    bits = config.activation_bits if config.wide_input_passes else max(c.bits for c in codes)
    try:
        found = dataclasses.replace(config, activation_bits=bits, requantisation="thresholds")
    except ConfigError:
        return None
    need = max(accumulator_bits(network, found), RANGES["accumulator_bits"][0])
    if need > RANGES["accumulator_bits"][1]:
        return None
    found = dataclasses.replace(found, accumulator_bits=max(need, config.accumulator_bits))
    needed = minimal_depths(network, found, is_stacked(config.weight_depth))
    names = ("channel_depth", *(() if config.memory_port_bits else ("program_depth",)))
    return dataclasses.replace(found, **{name: needed[name] for name in names})
