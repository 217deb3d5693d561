"""The trainable network with float weights from elsewhere, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ModelError
from models.graph.network import NetworkGraph
from models.graph.passes import legalise
from models.importing.floating import FloatNetwork
from models.quantisation.plan import Quantisation
from models.training import trained
from models.training.network import QuantNetwork


def load(floating: FloatNetwork, quantisation: Quantisation, scale_bits: int = 8) -> QuantNetwork:
    """Return the network in floating point and eval mode, with the weights of ``floating``.

    Its input is that of ``inputs.fit``. scale_bits: width of the requantisation multipliers. Raises
    ModelError where the quantisation does not fit the graph, a layer has a batch norm, weights are
    not finite, or upper clips cannot be kept: different ones of layers that share a scale, and of a
    fused ReLU whose input others read.
    """
    ceilings = _ceilings(floating.graph, floating.ceilings)
    network = QuantNetwork(floating.graph, quantisation, scale_bits, ceilings)
    _check_shared(network)
    for name in {key.rpartition(".")[0] for key in floating.weights}:
        module = network.weight_layer(name)
        if module.batch_norm is not None:
            raise ModelError(f"layer {name}: fold its batch norm into its weights first")
        for part, parameter in (("weight", module.weight), ("bias", module.bias)):
            values = floating.weights[f"{name}.{part}"]
            if not np.isfinite(values).all():
                raise ModelError(f"layer {name}: its {part} holds NaN or infinite values")
            parameter.data.copy_(torch.from_numpy(values))
    return network.eval()


def answers(
    floating: FloatNetwork,
    values: NDArray[Any],
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    order: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return the number of the largest output, int64 (n,), for any values of the float network.

    values: numbers (n, channels, rows, columns), which become ``gain * value + offset`` by channel.
    order: positions of the outputs that count, in the last layer's; None for all. Raises
    ModelError as ``load`` does.
    """
    return trained.answers(_forward(floating, gain, offset, order), values)


def outputs(
    floating: FloatNetwork,
    values: NDArray[Any],
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the outputs (n, outputs) of the float network in its own order.

    Arguments and errors: as for ``answers``.
    """
    return trained.outputs(_forward(floating, gain, offset), values)


def _forward(
    floating: FloatNetwork,
    gain: NDArray[np.float64],
    offset: NDArray[np.float64],
    order: NDArray[np.int64] | None = None,
) -> Callable[[Tensor], Tensor]:
    """Return what computes the outputs (n, outputs) of values as ``answers`` takes them."""
    network = load(floating, Quantisation())
    along = (1, -1, 1, 1)
    factor, start = (torch.from_numpy(each).float().reshape(along) for each in (gain, offset))

    def forward(batch: Tensor) -> Tensor:
        found = network.tensors_from(batch.float() * factor + start)[network.output_name].flatten(1)
        return found if order is None else found[:, torch.from_numpy(order)]

    return forward


def _ceilings(graph: NetworkGraph, ceilings: Mapping[str, float]) -> dict[str, float]:
    """Return the upper clips by layer names of the legal graph. Raises ModelError."""
    legal = legalise(graph)
    found: dict[str, float] = {}
    for name, high in ceilings.items():
        target = name
        while target not in legal:  # a ReLU that became part of the layer before it
            (target,) = graph[target].inputs
            if len(graph.consumers(target)) > 1:
                raise ModelError(f"layer {name}: clips at {high:g} what others read unclipped")
        found[target] = min(high, found.get(target, high))
    return found


def _check_shared(network: QuantNetwork) -> None:
    """Raise ModelError for layers of one scale that clip at different values."""
    highs: dict[str, float | None] = {}
    for node in network.nodes:
        if node.quantiser is not None:
            owner = network.plans[node.name].scale_owner
            if highs.setdefault(owner, node.ceiling) != node.ceiling:
                raise ModelError(
                    f"layer {node.name}: clips at another value than the inputs of {owner} with "
                    "which it shares a scale"
                )
