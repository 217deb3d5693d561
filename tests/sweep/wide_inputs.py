"""Cases whose image is wider than the array's activations (``wide_input_passes``)."""

from __future__ import annotations

import dataclasses
import random

import numpy as np

from codesign.compiler import accumulator_bits, minimal_depths
from codesign.compiler.mapping.shapes import reads_padding
from codesign.compiler.mapping.tiles import takes_one_pass
from models.integer.network import IntegerNetwork
from models.quantisation.plan import MAX_BITS
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import RANGES, ConfigError

MAX_SHIFT = 31


def with_wide_input(
    pick: random.Random, network: IntegerNetwork, config: NpuConfig
) -> tuple[IntegerNetwork, NpuConfig] | None:
    """Return the network with an image of more bits than the array's activations, and ``config``
    with the passes for it; None where layers that read the image cannot take it.

    The layers' requantisation is moved by as many bits, so that results keep their range. Raises
    InfeasibleError when the network fits no memory.
    """
    readers, image = network.input_readers, network.tensors[network.input]
    if config.activation_bits == MAX_BITS or any(len(r.sources) > 1 for r in readers):
        return None
    if any(r.pad_code and reads_padding(r, network) for r in readers):
        return None
    needs = [1 if takes_one_pass(config, r) else config.passes(r.weight_bits) for r in readers]
    try:
        config = dataclasses.replace(config, wide_input_passes=max(needs))
    except ConfigError:
        return None
    bits = pick.randint(config.activation_bits + 1, MAX_BITS)
    layers = tuple(
        dataclasses.replace(
            layer,
            requant_shift=np.minimum(layer.requant_shift + bits - image.bits, MAX_SHIFT),
        )
        if layer in readers
        else layer
        for layer in network.layers
    )
    tensors = {**network.tensors, network.input: dataclasses.replace(image, bits=bits)}
    network = dataclasses.replace(network, layers=layers, tensors=tensors)
    least, most = accumulator_bits(network, config), RANGES["accumulator_bits"][1]
    if least > most:
        return None
    wider = dataclasses.replace(config, accumulator_bits=max(least, config.accumulator_bits))
    return network, dataclasses.replace(wider, **minimal_depths(network, wider))
