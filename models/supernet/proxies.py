"""Zero-cost proxies: scores of an untrained network that rank it by accuracy after training.

All use the network in floating point with fresh weights and, except synflow, batch norm on the
batch's statistics. Of the quantisation only input bits and sparsity have an influence. Larger is
better. Proxies that grow by orders of magnitude with the network are given as logarithms, which
leaves their order as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.data.datasets import Split
from models.graph.layers import Add, Conv2d, Linear
from models.graph.network import NetworkGraph
from models.quantisation.plan import Quantisation
from models.training.network import QuantNetwork

Batch = tuple[Tensor, Tensor]
"""Pixels uint8 (n, C, H, W) and labels int64 (n,)."""
_LEAST = 1e-30
_ZEN_STEP = 0.01
_ZEN_REPEATS = 4


def proxies(
    graph: NetworkGraph, quantisation: Quantisation, batch: Split, seed: int
) -> dict[str, float]:
    """Return every proxy of PROXIES on one mini-batch, by name, each on a fresh network.

    seed: seed of the weights and of Zen's images. The process's random state is left as it is.
    Raises ModelError as QuantNetwork does, IndexError for a graph without convolution and add.
    """
    images = torch.from_numpy(np.array(batch.images))
    labels = torch.from_numpy(np.array(batch.labels))
    found = {}
    for name, proxy in PROXIES.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found[name] = proxy(QuantNetwork(graph, quantisation).train(), (images, labels))
    return found


def grad_norm(network: QuantNetwork, batch: Batch) -> float:
    """Return the log of the summed Euclidean norms of the layers' weight gradients.

    Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021, arXiv 2101.08134.
    """
    _backward(network, batch)
    return _log(sum(float(_gradient(weight).norm()) for weight in _weights(network)))


def snip(network: QuantNetwork, batch: Batch) -> float:
    """Return the log of the summed |weight x gradient|: loss changes if each weight were removed.

    Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, ICLR 2019,
    arXiv 1810.02340; as a proxy in arXiv 2101.08134.
    """
    _backward(network, batch)
    return _log(
        sum(
            float((weight.detach() * _gradient(weight)).abs().sum()) for weight in _weights(network)
        )
    )


def synflow(network: QuantNetwork, batch: Batch) -> float:
    """Return the log of the summed |weight| x gradient of the outputs, for an image of ones.

    Computed without batch norm, in float64, from the images' shape alone. ``network`` is changed in
    place: folded, float64, parameters replaced by their magnitudes, gradients left. Tanaka et al.,
    Pruning neural networks without any data by iteratively conserving synaptic flow, NeurIPS 2020,
    arXiv 2006.05467.
    """
    network.fold()  # removes the batch norms, whose fresh statistics are 0 and 1
    network.double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    ones = torch.ones_like(batch[0][:1], dtype=torch.float64)
    network.tensors_from(ones)[network.output_name].sum().backward()
    return _log(
        sum(float((weight.detach() * _gradient(weight)).sum()) for weight in _weights(network))
    )


def fisher(network: QuantNetwork, batch: Batch) -> float:
    """Return the log of the summed Fisher information of channels, in layers with a fused ReLU.

    A channel's is half the mean over images of (sum over positions of activation x gradient)**2.
    Theis et al., arXiv 1801.05787; Turner et al., BlockSwap: Fisher-guided Block Substitution, ICLR
    2020, arXiv 1906.04113.
    """
    tensors = network.tensors(batch[0])
    seen = [tensors[name] for name in _activations(network)]
    for tensor in seen:
        tensor.retain_grad()
    F.cross_entropy(tensors[network.output_name].flatten(1), batch[1], reduction="sum").backward()
    sums = ((tensor.detach() * _gradient(tensor)).sum(dim=(2, 3)) for tensor in seen)
    return _log(sum(float((each**2).mean(dim=0).sum()) / 2 for each in sums))


@torch.no_grad()
def naswot(network: QuantNetwork, batch: Batch) -> float:
    """Return log |det K|; K counts the fused ReLUs that agree in each two images of the batch.

    K is (n, n) for n images: at (i, j) the number of ReLU outputs that are above 0 in both or in
    neither. The result is -inf, or very low, if K is singular, such as for two equal images.

    Mellor et al., Neural Architecture Search without Training, ICML 2021, arXiv 2006.04647.
    """
    tensors = network.tensors(batch[0])
    count = len(batch[0])
    kernel = torch.zeros((count, count), dtype=torch.float64)
    for name in _activations(network):
        on = (tensors[name] > 0).flatten(1).double()
        kernel += on @ on.T + (1 - on) @ (1 - on).T
    return float(torch.linalg.slogdet(kernel)[1])


@torch.no_grad()
def zen(network: QuantNetwork, batch: Batch) -> float:
    """Return the Zen-score: the log change of the last feature map under noise on a Gaussian image.

    The change is absolute, summed over channels, then the mean over images and positions. The
    logarithms of the batch norms' deviations are added back. It is the mean of _ZEN_REPEATS draws,
    from the images' shape alone. The batch norms' momentum and statistics are changed in place. Lin
    et al., Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition, ICCV 2021, arXiv
    2102.01063.
    """
    shape = batch[0].shape
    norms = [layer.batch_norm for layer in network.weight_layers if layer.batch_norm is not None]
    for norm in norms:
        norm.momentum = 1.0  # the running variance is then the batch's own
    last = _feature_map(network)
    moved = []
    for _ in range(_ZEN_REPEATS):
        image, change = torch.randn(shape), torch.randn(shape)
        here = network.tensors_from(image)[last]
        there = network.tensors_from(image + _ZEN_STEP * change)[last]
        deviations = [norm.running_var for norm in norms]
        scale = sum(0.5 * math.log(float(v.mean()) + _LEAST) for v in deviations if v is not None)
        moved.append(_log(float((here - there).abs().sum(dim=1).mean())) + scale)
    return sum(moved) / len(moved)


PROXIES: Mapping[str, Callable[[QuantNetwork, Batch], float]] = {
    "grad_norm": grad_norm,
    "snip": snip,
    "synflow": synflow,
    "fisher": fisher,
    "naswot": naswot,
    "zen": zen,
}
"""Proxy functions by name; each may change the network that it is given."""


def _backward(network: QuantNetwork, batch: Batch) -> None:
    F.cross_entropy(network(batch[0]), batch[1]).backward()


def _weights(network: QuantNetwork) -> list[Tensor]:
    return [layer.weight for layer in network.weight_layers]


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def _activations(network: QuantNetwork) -> list[str]:
    """Return the names of the conv2d, linear and add layers that end in a fused ReLU."""
    return [
        layer.name
        for layer in network.graph.layers
        if isinstance(layer.spec, Conv2d | Linear | Add) and layer.spec.relu
    ]


def _feature_map(network: QuantNetwork) -> str:
    """Return the name of the last convolution or add, whose output is the last feature map."""
    maps = [layer.name for layer in network.graph.layers if isinstance(layer.spec, Conv2d | Add)]
    return maps[-1]


def _log(value: float) -> float:
    return math.log(max(value, _LEAST))
