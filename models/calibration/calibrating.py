"""Calibration: scales and biases of a float network's codes, from example images alone.

Scales are those of least squared error. Weight scales are moved to what the multipliers of hardware
can express before weights are rounded, and biases make up for the mean error of rounded weights.
Channels are equalised between layers where that brings the outputs clearly nearer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from models.calibration import loading
from models.calibration.equalising import equalise, pairs
from models.data.datasets import Images, Split
from models.errors import ModelError
from models.graph.network import NetworkGraph
from models.importing.floating import FloatNetwork
from models.quantisation.fake_quantisers import ActivationQuantiser, snapping
from models.quantisation.plan import Quantisation
from models.tasks.lessons import CLASS_LESSON, Lesson
from models.training.layers.weight_layer import WeightLayer
from models.training.network import QuantNetwork
from models.training.trained import TrainedNetwork

LEAST_IMAGES = 16
"""Fewest images that a calibration is made of."""
MOST_IMAGES = 512
MOST_VALUES = 1 << 26
"""Most values of all tensors of all calibration images together; larger networks see fewer."""
LESSENED = 0.8
"""Equalised channels are kept if they leave at most this share of the divergence; examples alone
make differences of a tenth."""
_DRAW_SEED = 0


def calibrate(
    floating: FloatNetwork,
    quantisation: Quantisation,
    images: Images,
    scale_bits: int = 8,
    lesson: Lesson = CLASS_LESSON,
) -> TrainedNetwork:
    """Return the quantised network of float weights, without any training.

    floating: with an input as of ``inputs.fit``, whose zero point ``quantisation`` has. images:
    input levels uint8 (n, channels, rows, columns), all of which are used (``draw`` chooses some).
    scale_bits: width of the requantisation multipliers. lesson: says how far outputs are apart.
    Raises ModelError for images of another shape or fewer than LEAST_IMAGES, and as
    ``loading.load`` does.
    """
    network = loading.load(floating, quantisation, scale_bits)
    check_images(network.graph, images)
    levels = torch.from_numpy(images)
    with torch.no_grad():
        real = network.tensors(levels)
        wanted = real[network.output_name]
        apart = _quantise(network, real, levels, wanted, lesson)
        if pairs(network):
            other = loading.load(floating, quantisation, scale_bits)
            equalise(other, real)
            if _quantise(other, other.tensors(levels), levels, wanted, lesson) < LESSENED * apart:
                network = other
    return TrainedNetwork(floating.graph, quantisation, network, ())


def check_images(graph: NetworkGraph, images: Images) -> None:
    """Raise ModelError unless there are enough images, and of the network's shape."""
    shape = graph.shapes[graph.input.name]
    if images.shape[1:] != shape:
        raise ModelError(
            f"calibration images have the shape {tuple(images.shape[1:])}, the network takes "
            f"{shape} (channels, rows, columns)"
        )
    if len(images) < LEAST_IMAGES:
        raise ModelError(
            f"{len(images)} images are too few to calibrate with: give {LEAST_IMAGES} or more"
        )


def draw(split: Split, floating: FloatNetwork, most: int = MOST_IMAGES) -> Split:
    """Return at most ``most`` of the examples, drawn at random, always the same ones.

    They are fewer where the network's tensors are large.
    """
    values = sum(math.prod(shape) for shape in floating.graph.shapes.values())
    count = min(most, max(LEAST_IMAGES, MOST_VALUES // values), len(split))
    generator = torch.Generator().manual_seed(_DRAW_SEED)
    chosen = torch.randperm(len(split), generator=generator)[:count]
    return split.take(chosen.sort().values.numpy())


def _quantise(
    network: QuantNetwork,
    real: Mapping[str, Tensor],
    levels: Tensor,
    wanted: Tensor,
    lesson: Lesson,
) -> float:
    """Quantise a float network, and return the divergence of its outputs from ``wanted``.

    real: its tensors of ``levels``.
    """
    _set_activation_scales(network, real)
    network.quantise()
    found = _quantise_weights(network, real, levels)
    return float(lesson.divergence(found.flatten(1), wanted.flatten(1)))


def _set_activation_scales(network: QuantNetwork, real: Mapping[str, Tensor]) -> None:
    """Set each tensor's scale on its values in floating point; a concat's on all its inputs'."""
    values: dict[ActivationQuantiser, list[Tensor]] = {}
    for node in network.nodes:
        if node.quantiser is not None:
            values.setdefault(node.quantiser, []).append(real[node.name].flatten())
    for quantiser, parts in values.items():
        quantiser.calibrate(torch.cat(parts))


def _quantise_weights(network: QuantNetwork, real: Mapping[str, Tensor], levels: Tensor) -> Tensor:
    """Set weight scales and biases layer by layer, behind quantised layers; return the outputs.

    real: tensors in floating point.
    """
    values = {network.input_name: network.input(levels)}
    for node in network.nodes:
        inputs = [values[name] for name in node.inputs]
        scales = [quantiser.scale for quantiser in node.in_quantisers]
        out_scale = node.quantiser.scale if node.quantiser else None
        if isinstance(node.module, WeightLayer):
            _fit_scale(node.module, scales[0], out_scale)
            weight = node.module.quantiser(node.module.kept_weight())
            node.module.bias.add_(lack(node.module, real[node.inputs[0]], inputs[0], weight))
        out = node.module.quantised(inputs, scales, out_scale)
        values[node.name] = out if node.quantiser is None else node.quantiser(out)
    return values[network.output_name]


def _fit_scale(layer: WeightLayer, in_scale: Tensor, out_scale: Tensor | None) -> None:
    """Set a layer's weight scales, at which no multiplier needs rounding."""
    layer.quantiser.calibrate(layer.kept_weight())
    if out_scale is not None:
        factor = snapping(in_scale * layer.quantiser.scale / out_scale, layer.scale_bits)
        layer.quantiser.log_scale.add_(torch.log(factor))


def lack(layer: WeightLayer, real: Tensor, coarse: Tensor, weight: Tensor) -> Tensor:
    """Return what other inputs and weights lack in the mean of each channel's sums, (out,).

    real: the layer's input (n, C, H, W), of which its own weights make the sums to reach. coarse,
    weight: the input and the weights that take their place.
    """
    missing = layer.sums(real, layer.weight) - layer.sums(coarse, weight)
    return missing.mean(dim=(0, 2, 3))
