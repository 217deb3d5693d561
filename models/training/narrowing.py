"""Narrowing: the last output channels of a layer get fewer weight bits than the rest.

Output channels are interchangeable before training, so the last ones are as good as any. Hardware
computes them together as a tile and skips the bit-serial pass of a digit that none of them has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.errors import ModelError
from models.files.nodes import nearest
from models.files.reading import quoted
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork


@dataclass(frozen=True)
class Narrow:
    """Restriction of a layer's output channels from ``first`` on to weights of ``bits`` bits.

    first: counted from 0, itself narrowed. ``narrow`` checks ``layer`` and ``bits``.

    >>> Narrow("conv2", first=24, bits=2)
    Narrow(layer='conv2', first=24, bits=2)
    """

    layer: str
    first: int
    bits: int


def narrow(network: QuantNetwork, layers: tuple[Narrow, ...]) -> None:
    """Restrict the last output channels of these layers, in place, to fewer weight bits.

    ``first`` is not checked; of two entries for a layer the last counts. Raises ModelError for a
    layer that is unknown or without weights, the output layer, or, in a layer of b weight bits,
    bits outside 2..b - 1.
    """
    for spec, layer in _layers(network, layers):
        if not 2 <= spec.bits < layer.quantiser.bits:
            most = layer.quantiser.bits - 1
            raise ModelError(f"layer {spec.layer}: fewer bits are 2..{most}, not {spec.bits}")
        if layer.last:
            raise ModelError(f"layer {spec.layer}: the output layer has one scale for all channels")
        layer.quantiser.narrow(spec.first, spec.bits)


@torch.no_grad()
def settle(network: QuantNetwork, layers: tuple[Narrow, ...]) -> None:
    """Clamp the trained weights in place to their narrowed range.

    The range itself is not stored with the network. Raises ModelError for an unknown layer.
    """
    for _, layer in _layers(network, layers):
        low, high = layer.quantiser.ends
        scale = layer.quantiser.scale
        layer.weight.copy_(torch.clamp(layer.kept_weight(), low * scale, high * scale))


def _layers(network: QuantNetwork, layers: tuple[Narrow, ...]) -> list[tuple[Narrow, WeightLayer]]:
    known = {n.name: n.module for n in network.nodes if isinstance(n.module, WeightLayer)}
    for spec in layers:
        if spec.layer not in known:
            raise ModelError(
                f"fewer digits: no layer {quoted(spec.layer)} has weights; "
                f"{nearest(spec.layer, known)}"
            )
    return [(spec, known[spec.layer]) for spec in layers]
