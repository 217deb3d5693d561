"""Thawing: an integer network becomes a trainable one again, the inverse of ``freeze``.

Learned weights and scales follow from the integers and from the tensors' scales. What training
knew beyond them is gone: weights lie in the middle of their codes, batch norms stay folded.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from models.errors import ModelError
from models.graph.layers import Activation, Conv2d, Linear
from models.graph.network import NetworkGraph
from models.integer.network import IntegerNetwork, MacLayer
from models.quantisation.accumulators import Accumulator
from models.quantisation.fake_quantisers import ActivationQuantiser
from models.quantisation.learned_thresholds import ThresholdQuantiser
from models.quantisation.plan import Quantisation
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork

_LEAST_GAP = 1 / 64
"""Accumulator units between learned thresholds that integers do not tell apart."""


@torch.no_grad()
def thaw(
    frozen: IntegerNetwork,
    graph: NetworkGraph,
    quantisation: Quantisation,
    scale_bits: int,
    accumulator: Accumulator | None = None,
) -> QuantNetwork:
    """Return the folded, fake-quantised network of which ``freeze`` makes the same integers.

    graph, quantisation: those that it was frozen from; scale_bits: width of its requantisation
    multipliers; accumulator: what its training kept to. Raises ModelError if layers or shapes are
    others, or if layers look activation functions up, whose sums have scales that the integers do
    not tell.
    """
    network = QuantNetwork(graph, quantisation, scale_bits, accumulator=accumulator)
    network.quantise()
    layers = {layer.name: layer for layer in frozen.layers if isinstance(layer, MacLayer)}
    for name, tensor in frozen.tensors.items():
        quantiser = network.quantiser(name) if name in network.plans else None
        if isinstance(quantiser, ActivationQuantiser):
            quantiser.log_scale.fill_(math.log(tensor.step))
    for layer in network.graph.layers:
        if isinstance(layer.spec, Activation):
            raise ModelError(
                f"{layer.name}: training cannot go on from integers of activation functions"
            )
        if isinstance(layer.spec, Conv2d | Linear):
            if layer.name not in layers:
                raise ModelError(f"the integers have no layer {layer.name}")
            module, source = network.weight_layer(layer.name), network.quantiser(layer.inputs[0])
            out = frozen.tensors[layers[layer.name].output]
            _fill(module, layers[layer.name], float(source.scale), out.step)
            _take_thresholds(network, layers[layer.name], out.step)
    return network.eval()


def _take_thresholds(network: QuantNetwork, layer: MacLayer, out_scale: float) -> None:
    """Set the learned thresholds of a layer's quantiser: half a unit below the integers'.

    Equal ones become LEAST_GAP units apart. out_scale: as for ``_fill``.
    """
    quantiser = network.quantiser(layer.name) if layer.name in network.plans else None
    if not isinstance(quantiser, ThresholdQuantiser):
        return
    if layer.thresholds is None:
        raise ModelError(f"{layer.name}: the integers have no learned thresholds")
    gain = out_scale * np.ldexp(layer.requant_multiplier.astype(np.float64), -layer.requant_shift)
    apart = _LEAST_GAP * np.arange(layer.thresholds.shape[1])
    units = layer.thresholds - 1 / 2 + apart
    quantiser.set_thresholds(torch.from_numpy(units * gain[:, None]))


def _fill(module: WeightLayer, layer: MacLayer, in_scale: float, out_scale: float) -> None:
    """Set weights, bias and weight scales of ``module`` from the integers of ``layer``.

    in_scale, out_scale: real values of a step of the input and of the output codes; of the last
    layer, whose sums are not requantised, of its accumulators.
    """
    codes = layer.sources[0].weights
    if codes.shape != tuple(module.weight.shape):
        raise ModelError(
            f"{layer.name}: the integers have weights of shape {codes.shape}, the layer "
            f"{tuple(module.weight.shape)}"
        )
    factor = np.ldexp(layer.requant_multiplier.astype(np.float64), -layer.requant_shift)
    gain = out_scale * (np.ones_like(factor) if module.last else factor)
    scale = np.broadcast_to(gain / in_scale, codes.shape[:1])
    module.weight.copy_(torch.from_numpy(codes * scale[:, None, None, None]))
    module.bias.copy_(torch.from_numpy(layer.bias * gain))
    wanted = scale[:1] if module.last else scale
    module.quantiser.log_scale.copy_(torch.from_numpy(np.log(wanted))[:, None, None, None])
