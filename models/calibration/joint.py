"""The last layer of a float network of several outputs, made fit for codes.

One layer gives all outputs (models.importing.outputs). What it reads is joined and shares one
scale, its weights share another and its results a third, while outputs may be of any sizes. So each
joined channel is scaled to the same range first, each output's weights to the same magnitude, and
its mean is left to the host.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.calibration.inputs import channels_read
from models.data.datasets import Images
from models.graph.layers import Concat, Conv2d
from models.graph.network import Layer
from models.importing.floating import FloatNetwork
from models.quantisation.plan import Quantisation
from models.tasks.measures import Reals
from models.tasks.units import Units

if TYPE_CHECKING:
    from models.tasks.lessons import Lesson
    from models.training.network import QuantNetwork


@dataclass(frozen=True, eq=False)
class JointOutputs:
    """A float network whose last layer is fit for codes. Made by ``fit``."""

    network: FloatNetwork
    """Its outputs are ``(output - mean) / unit``."""
    mean: Reals
    """Of each channel, (channels,)."""
    unit: Reals
    """Value of the network's 1 in each channel, (channels,): largest magnitude of its weights."""
    spread: Reals
    """Standard deviation of each channel's outputs, (channels,); its unit if they do not vary."""

    @property
    def lesson(self) -> Lesson:
        """Mean squared distance of outputs, in standard deviations: how far they are apart."""
        from models.tasks.lessons import NumberLesson  # torch takes seconds to import

        return NumberLesson(Units(np.zeros_like(self.mean), 1.0, self.spread / self.unit))

    def real(self, outputs: Reals) -> Reals:
        """Return outputs (n, outputs) of ``network``, all of the last layer's, as the file's."""
        count = outputs.shape[1] // len(self.mean)
        found: Reals = outputs * np.repeat(self.unit, count) + np.repeat(self.mean, count)
        return found


def fit(
    floating: FloatNetwork, images: Images, zero_point: int, places: NDArray[np.int64]
) -> JointOutputs:
    """Return the network for outputs of codes, by examples.

    floating: with an input as of ``inputs.fit``, and its zero point. images: levels uint8 (n,
    channels, rows, columns), n >= 1. places: flat positions of the outputs that count in the last
    layer's; channels without any keep their mean.
    """
    from models.calibration import loading  # torch takes seconds to import
    from models.training import trained

    quantisation = Quantisation(input_zero_point=zero_point)
    network = loading.load(floating, quantisation)
    values = trained.outputs(network, images)
    floating = _levelled(floating, network, images)
    last = floating.graph.output.name
    weight, bias = (floating.weights[f"{last}.{part}"] for part in ("weight", "bias"))
    mean, spread = _spread(values, len(weight), places)
    unit = np.abs(weight).max(axis=(1, 2, 3)).astype(np.float64)
    unit[unit == 0] = 1.0
    moved = {
        f"{last}.weight": (weight / unit[:, None, None, None]).astype(np.float32),
        f"{last}.bias": ((bias - mean) / unit).astype(np.float32),
    }
    made = dataclasses.replace(floating, weights={**floating.weights, **moved})
    return JointOutputs(made, mean, unit, np.where(spread > 0, spread, unit))


def _spread(values: Reals, channels: int, places: NDArray[np.int64]) -> tuple[Reals, Reals]:
    """Return mean and standard deviation of each channel's outputs that count; 0 without any."""
    counts = np.zeros(values.shape[1], bool)
    counts[places] = True
    by_channel = np.where(counts, values, np.nan).reshape(len(values), channels, -1)
    used = counts.reshape(channels, -1).any(axis=1)
    mean, spread = np.zeros(channels), np.zeros(channels)
    mean[used] = np.nanmean(by_channel[:, used], axis=(0, 2))
    spread[used] = np.nanstd(by_channel[:, used], axis=(0, 2))
    return mean, spread


def _levelled(floating: FloatNetwork, network: QuantNetwork, images: Images) -> FloatNetwork:
    """Return a network in which all channels that the last layer reads joined have one range.

    Each joined map gets a layer that scales its channels, as an NPU copies it anyway unless it is
    read by nothing else; the last layer's weights make up for it. network: the float one.
    """
    graph = floating.graph
    last, joined = graph.output, graph[graph.output.inputs[0]]
    if not isinstance(joined.spec, Concat) or graph.consumers(joined.name) != (last.name,):
        return floating
    reach = _reach(network, images, joined.name)
    relu = not network.plans[joined.name].signed  # nothing joined is negative
    weights, names, start = dict(floating.weights), [], 0
    made: list[Layer] = []
    for source in joined.inputs:
        count = graph.shapes[source][0]
        name = graph.fresh_name(f"{source}_levelled")
        weights[f"{name}.weight"] = (1 / reach[start : start + count, None, None, None]).astype(
            np.float32
        )
        weights[f"{name}.bias"] = np.zeros(count, np.float32)
        made.append(Layer(name, Conv2d(count, (1, 1), groups=count, relu=relu), (source,)))
        names.append(name)
        start += count
    kernel = weights[f"{last.name}.weight"]
    groups = last.spec.groups if isinstance(last.spec, Conv2d) else 1
    read = channels_read(kernel.shape, groups)
    scaled = kernel * reach[read][:, :, None, None]
    weights[f"{last.name}.weight"] = scaled.astype(np.float32)
    graph = graph.edited(insert=made, replace=[Layer(joined.name, joined.spec, tuple(names))])
    return dataclasses.replace(floating, graph=graph, weights=weights)


def _reach(network: QuantNetwork, images: Images, name: str) -> Reals:
    """Return the largest magnitude of each channel of a tensor on examples; 1 where it is 0."""
    import torch

    from models.training.trained import EVALUATION_BATCH

    largest = []
    with torch.no_grad():
        for start in range(0, len(images), EVALUATION_BATCH):
            batch = torch.from_numpy(images[start : start + EVALUATION_BATCH])
            largest.append(network.tensors(batch)[name].abs().amax(dim=(0, 2, 3)).double().numpy())
    found: Reals = np.max(largest, axis=0)
    found[found == 0] = 1.0
    return found
