"""Networks without some of their channels: what is cut, and what those that stay can make up for.

Channels are cut one after another, the one first whose loss changes the sums of the layers that
read it least once the channels that stay take over what they can (Optimal Brain Surgeon on
channels: Hassibi & Stork, 1993; reconstruction by least squares as in He et al., Channel Pruning
for Accelerating Very Deep Neural Networks, arXiv 1707.06168).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.calibration import loading
from models.data.datasets import Images
from models.graph.channels import Channel, ChannelMap, channel_map, without
from models.graph.layers import Conv2d, LayerSpec, Linear, Shape
from models.graph.network import Layer
from models.importing.floating import FloatNetwork
from models.quantisation.plan import Quantisation

Floats = NDArray[np.float64]
Weight = NDArray[np.float32]
Mask = NDArray[np.bool_]
LEAST = 2
"""Fewest channels that a tensor keeps, so that depthwise layers stay such."""
RIDGE = 1e-4
"""Share of the mean square of a tensor's channels that each is taken to have of noise."""


def cut(network: FloatNetwork, gone: Collection[Channel]) -> FloatNetwork:
    """Return the network without some channels, the rest as it is; gone: of its ``channel_map``.

    It computes what the network would with the weights and biases of these channels at 0. That each
    tensor keeps a channel is not checked.
    """
    weights, tensors = dict(network.weights), channel_map(network.graph).tensors
    stay = {name: np.array([one not in gone for one in own]) for name, own in tensors.items()}
    for layer in network.graph.layers:
        if isinstance(layer.spec, Conv2d | Linear):
            weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
            weights[weight] = weights[weight][stay[layer.name]]
            if _reads_all(layer):
                weights[weight] = weights[weight][:, stay[layer.inputs[0]]]
            weights[bias] = weights[bias][stay[layer.name]]
    return dataclasses.replace(network, graph=without(network.graph, gone), weights=weights)


def _reads_all(layer: Layer) -> bool:
    """True if each output of a layer reads all channels of its input."""
    return isinstance(layer.spec, Linear) or (
        isinstance(layer.spec, Conv2d) and layer.spec.groups == 1
    )


@dataclass(frozen=True, eq=False)
class Cutter:
    """Float network whose channels can be cut, the least missed ones first. Made by ``of``."""

    network: FloatNetwork
    channels: ChannelMap
    moments: Mapping[str, Floats]
    """By tensor that a layer reads: mean products of its channels and a last one that is always 1,
    over examples and positions, shape (channels + 1, channels + 1)."""
    order: Mapping[str, tuple[Channel, ...]]
    """By group: its channels in the order in which they are cut, but for those that always stay."""

    @classmethod
    def of(cls, network: FloatNetwork, zero_point: int, images: Images) -> Cutter:
        """Return the cutter of a network with an input as of ``inputs.fit``, and its zero point.

        images: input levels uint8 (n, channels, rows, columns). Raises ModelError as
        ``loading.load`` does.
        """
        channels = channel_map(network.graph)
        moments = _moments(network, zero_point, images)
        found = cls(network, channels, moments, {})
        order = {name: tuple(found._ranked(group)) for name, group in channels.groups.items()}
        return dataclasses.replace(found, order=order)

    def without(self, counts: Mapping[str, int]) -> FloatNetwork:
        """Return the network that lacks so many channels of each group, the others adapted.

        counts: by name of the group, at most as many as ``order`` has.
        """
        gone = self.gone(counts)
        if not gone:
            return self.network
        graph, weights = self.network.graph, dict(self.network.weights)
        for layer in _readers(self.network):
            (tensor,) = layer.inputs
            lost = np.array([one in gone for one in self.channels.tensors[tensor]])
            if lost.any():
                weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
                inside = _inside(layer.spec, graph.shapes[tensor])
                weights[weight], weights[bias] = _taken_over(
                    weights[weight], weights[bias], self.moments[tensor], lost, inside
                )
        return cut(dataclasses.replace(self.network, weights=weights), gone)

    def gone(self, counts: Mapping[str, int]) -> frozenset[Channel]:
        """Return the channels that the network ``without`` these lacks."""
        return frozenset(one for name, count in counts.items() for one in self.order[name][:count])

    def _ranked(self, group: Sequence[Channel]) -> Iterator[Channel]:
        """Yield the channels of a group, the least missed one of those that are left first."""
        readers = [
            _Reader.of(self.network.weights[f"{layer.name}.weight"], self.moments[tensor], own)
            for layer in _readers(self.network)
            for tensor in layer.inputs
            if set(own := self.channels.tensors[tensor]) & set(group)
        ]
        left = list(group)
        tensors = [own for own in self.channels.tensors.values() if set(own) & set(group)]
        while True:
            scarce = {one for own in tensors if len(own) <= LEAST for one in own}
            able = [one for one in left if one not in scarce]
            if not able:
                return
            least = min(able, key=lambda one: sum(reader.missed(one) for reader in readers))
            yield least
            left.remove(least)
            tensors = [tuple(one for one in own if one != least) for own in tensors]
            for reader in readers:
                reader.drop(least)


class _Reader:
    """A layer that reads channels some of which are cut: its weights, adapted as they go."""

    def __init__(
        self, weights: Floats, inverse: Floats, places: Mapping[Channel, list[int]]
    ) -> None:
        """Take weights (sums, channels + 1), the moments' inverse, and places by channel."""
        self._weights, self._inverse, self._places = weights, inverse, dict(places)
        self._missed = self._errors()

    @classmethod
    def of(cls, weight: Weight, moments: Floats, own: Sequence[Channel]) -> _Reader:
        """Return the reader of a tensor with the channels ``own``."""
        flat = np.moveaxis(weight.astype(np.float64), 1, -1).reshape(-1, len(own))
        flat = np.pad(flat, ((0, 0), (0, 1)))
        # Layers count alike, whatever the size of their sums.
        power = float(np.einsum("sc,cd,sd->", flat, moments, flat))
        places: dict[Channel, list[int]] = {}
        for place, one in enumerate(own):
            places.setdefault(one, []).append(place)
        return cls(flat / max(power, 1e-30) ** 0.5, np.asarray(np.linalg.inv(moments)), places)

    def missed(self, channel: Channel) -> float:
        """Return the mean square error of the sums without a channel, 0 if it is not read."""
        return float(sum(self._missed[place] for place in self._places.get(channel, ())))

    def drop(self, channel: Channel) -> None:
        """Cut a channel; the others take over what they can."""
        for place in self._places.pop(channel, ()):
            row = self._inverse[place] / self._inverse[place, place]
            self._weights -= np.outer(self._weights[:, place], row)
            self._inverse -= np.outer(self._inverse[:, place], row)
            self._inverse[place, place] = 1.0  # not looked at again, but divided by
        self._missed = self._errors()

    def _errors(self) -> Floats:
        """Return the mean square error of the sums without each channel alone, (channels + 1,)."""
        found: Floats = (self._weights**2).sum(axis=0) / self._inverse.diagonal()
        return found


def _readers(network: FloatNetwork) -> Iterator[Layer]:
    """Yield the layers whose sums are over all channels of their input."""
    return filter(_reads_all, network.graph.layers)


@torch.no_grad()
def _moments(network: FloatNetwork, zero_point: int, images: Images) -> dict[str, Floats]:
    """Return the moments of all tensors that ``_readers`` read, by name."""
    loaded = loading.load(network, Quantisation(input_zero_point=zero_point))
    values = loaded.tensors(torch.from_numpy(images))
    found = {}
    for tensor in dict.fromkeys(layer.inputs[0] for layer in _readers(network)):
        made = tensor
        while made not in values:  # a ReLU that became part of the layer before it
            (made,) = network.graph[made].inputs
        own = values[made].double().transpose(0, 1).flatten(1).numpy()
        own = np.concatenate([own, np.ones((1, own.shape[1]))])
        moment = own @ own.T / own.shape[1]
        channels = range(len(own) - 1)
        mean_square = float(moment[channels, channels].mean())
        moment[channels, channels] += max(RIDGE * mean_square, 1e-12)
        found[tensor] = moment
    return found


def _inside(spec: LayerSpec, shape: Shape) -> Floats:
    """Return the share of a layer's windows whose value lies in its input, not in the padding.

    By kernel row and column, shape (kernel_rows, kernel_cols); shape: of the input.
    """
    if not isinstance(spec, Conv2d):
        return np.ones(shape[1:])
    shares = []
    for axis, kernel, dilation in zip(spec.axes(shape), spec.kernel, spec.dilation, strict=True):
        starts = np.arange(axis.count) * axis.stride - axis.before
        places = starts[:, None] + np.arange(kernel) * dilation
        shares.append(((places >= 0) & (places < axis.size)).mean(axis=0))
    found: Floats = np.outer(*shares)
    return found


def _taken_over(
    weight: Weight, bias: Weight, moments: Floats, lost: Mask, inside: Floats
) -> tuple[Weight, Weight]:
    """Return weight and bias of least squared error of the sums without the inputs ``lost``.

    The weights of those inputs stay as they were, and no longer count. inside: as of ``_inside``.
    """
    stay, left = np.append(~lost, True), np.append(lost, False)
    shares = np.linalg.solve(moments[np.ix_(stay, stay)], moments[np.ix_(stay, left)])
    moved = np.einsum("sl,olrc->osrc", shares, weight[:, lost].astype(np.float64))
    more = np.zeros(weight.shape)
    more[:, ~lost] = moved[:, :-1]
    constant = (moved[:, -1] * inside).sum(axis=(1, 2))
    return (weight + more).astype(np.float32), (bias + constant).astype(np.float32)
