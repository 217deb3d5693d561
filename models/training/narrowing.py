"""Tiles of output channels without their top digit: fewer weight bits than the layer has.

Output channels are alike before training, so the last ones of a layer are as good as any; hardware
that computes them together takes a pass less over them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from models.errors import ModelError
from models.training.network import QuantNetwork
from models.training.weight_layer import WeightLayer


@dataclass(frozen=True)
class Narrow:
    """The output channels of a layer from ``first`` on have weights of ``bits`` bits, 2 or more."""

    layer: str
    first: int
    bits: int


def narrow(network: QuantNetwork, layers: tuple[Narrow, ...]) -> None:
    """Let training know. Raises ModelError for a layer that cannot have it."""
    for spec, layer in _layers(network, layers):
        if not 2 <= spec.bits < layer.quantiser.bits:
            most = layer.quantiser.bits - 1
            raise ModelError(f"layer {spec.layer}: fewer bits are 2..{most}, not {spec.bits}")
        if layer.last:
            raise ModelError(f"layer {spec.layer}: the output layer has one scale for all channels")
        layer.quantiser.narrow(spec.first, spec.bits)


@torch.no_grad()
def settle(network: QuantNetwork, layers: tuple[Narrow, ...]) -> None:
    """Put the trained weights themselves within the range that training held their codes in: who
    loads them knows of none."""
    for _, layer in _layers(network, layers):
        low, high = layer.quantiser.ends
        scale = layer.quantiser.scale
        layer.weight.copy_(torch.clamp(layer.kept_weight(), low * scale, high * scale))


def _layers(network: QuantNetwork, layers: tuple[Narrow, ...]) -> list[tuple[Narrow, WeightLayer]]:
    known = {n.name: n.module for n in network.nodes if isinstance(n.module, WeightLayer)}
    for spec in layers:
        if spec.layer not in known:
            raise ModelError(
                f"fewer digits: no layer {spec.layer!r} has weights (known: {', '.join(known)})"
            )
    return [(spec, known[spec.layer]) for spec in layers]
