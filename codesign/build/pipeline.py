"""The middle of the road: a design becomes a trained network, a program and a build folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.build import build_folder
from codesign.build.build_folder import Vectors
from codesign.compiler import CompiledNetwork, compile_network
from codesign.design import Design
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.prediction import estimate_design, plan_design
from models.data import datasets
from models.data.datasets import Dataset, Split
from models.errors import ModelError
from models.integer import reference
from models.integer.bits import LayerBits, network_bits
from models.integer.lower import lower
from models.integer.network import IntegerNetwork
from models.quantisation.blocks import BlockShape, Pruning

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.narrowing import Narrow
    from models.training.schedule import TrainSettings
    from models.training.trained import TrainedNetwork

VECTOR_IMAGES = 64
"""Test images whose every layer goes into a build folder."""
_EPOCHS = (12, 100)


@dataclass(frozen=True)
class _Recipe:
    """What full training takes for images of one size."""

    images_seen: int
    """Training images in all, where the number of epochs is left open."""
    batch_size: int
    weight_decay: float
    label_smoothing: float
    threads: int | None


_SMALL_MAP = 16 * 16
"""Pixels up to which a second thread waits more than it works: measured on digits, two threads
took 4 to 10 times the processor time of one, and no less wall time."""
_SMALL = _Recipe(600_000, 64, 1e-4, label_smoothing=0.1, threads=1)
"""Label smoothing: Szegedy et al., arXiv 1512.00567. On digits (splits 1 and 2, validation images
moved by up to a pixel) it lifted the full training from 98.6 to 99.4 %."""
_LARGE = _Recipe(1_300_000, 128, 1e-3, label_smoothing=0.0, threads=None)
"""92.98 % on Fashion-MNIST (docs/measurements/results.md), at the first try: untuned."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """A trained network as integers, and as what an NPU is loaded with."""

    integer: IntegerNetwork
    compiled: CompiledNetwork


def weight_blocks(design: Design) -> dict[str, BlockShape]:
    """What a weight word of the design's NPU holds of each layer, where channels stay channels.

    Not of grouped layers, nor of a first layer whose image is sent unfolded. InfeasibleError.
    """
    planned = plan_design(design).schedule
    return {
        shape.layer.name: BlockShape(tile.channels, design.npu.lanes)
        for shape, tile in zip(planned.shapes, planned.tiles, strict=True)
        if shape.layer.op in ("conv2d", "linear")
        and shape.layer.groups == 1
        and not (planned.window and shape.layer.sources[0].tensor == planned.network.input)
    }


def narrow_tiles(design: Design, share: float) -> tuple[Narrow, ...]:
    """The last ``share`` of each layer's tiles of output channels with a digit less.

    Not of the output layer, whose channels share a step, nor where no digit of two bits is left.
    """
    from models.training.narrowing import Narrow  # torch takes seconds to import

    planned = plan_design(design).schedule
    found = []
    for shape, tile in zip(planned.shapes, planned.tiles, strict=True):
        bits = design.npu.weight_digit_bits * (tile.passes - 1)
        first = (tile.tiles - round(share * tile.tiles)) * tile.channels
        usable = shape.layer.op in ("conv2d", "linear") and not shape.layer.raw and bits >= 2
        if usable and first < shape.out_shape[0]:
            found.append(Narrow(shape.layer.name, first, bits))
    return tuple(found)


def weight_bits(design: Design, trained: TrainedNetwork) -> dict[str, LayerBits]:
    """One-bits, zero digits and zero words of a trained design's weights, by layer."""
    _, integer = lower(trained, design.npu.scale_bits)
    return network_bits(integer, weight_blocks(design), design.npu.weight_digit_bits)


def dataset_of(
    design: Design, data_dir: Path | None, progress: datasets.Progress | None = None
) -> Dataset:
    """The design's data set, split by the design's seed. Raises DatasetError."""
    return datasets.load(design.dataset.name, data_dir, design.seed, progress)


def settings_of(
    design: Design,
    dataset: Dataset,
    epochs: int | None = None,
    boo: float = 0.0,
    zero_blocks: float = 0.0,
    skip_blocks: float = 0.0,
    skip_digits: float = 0.0,
) -> TrainSettings:
    """How to train ``design``: by default until a fixed number of images was seen.

    boo: TrainSettings.boo. zero_blocks, skip_blocks: share of the weight blocks to prune, 0 for
    none; anywhere, or such that the program leaves them out. At most one of them is not 0.
    skip_digits: share of the tiles of output channels whose weights have a digit less.
    """
    from models.training.schedule import TrainSettings  # torch takes seconds to import

    share = zero_blocks or skip_blocks
    blocks = tuple(weight_blocks(design).items()) if share else ()
    low, high = _EPOCHS
    recipe = _SMALL if math.prod(dataset.shape[1:]) <= _SMALL_MAP else _LARGE
    wanted = min(max(round(recipe.images_seen / len(dataset.train)), low), high)
    return TrainSettings(
        epochs=wanted if epochs is None else epochs,
        batch_size=recipe.batch_size,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
        scale_bits=design.npu.scale_bits,
        boo=boo,
        pruning=Pruning(share, blocks, boxed=skip_blocks > 0) if share else None,
        narrow=narrow_tiles(design, skip_digits) if skip_digits else (),
        threads=recipe.threads,
        seed=design.seed,
    )


def train_design(
    design: Design,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """The design's network, trained. What cannot run on its NPU is refused before.

    Raises InfeasibleError, ModelError.
    """
    from models.training.loop import train  # torch takes seconds to import

    plan_design(design)
    return train(
        design.network,
        design.quantisation,
        dataset,
        settings,
        checkpoint=checkpoint,
        progress=progress,
    )


def lower_design(design: Design, trained: TrainedNetwork) -> Lowered:
    """Integers and program of a trained design.

    Raises ModelError when ``trained`` is another network, InfeasibleError when it does not fit.
    """
    if (trained.graph, trained.quantisation) != (design.network, design.quantisation):
        raise ModelError(f"the weights are of another network or other bits than {design.name}")
    _, integer = lower(trained, design.npu.scale_bits)
    return Lowered(integer, compile_network(integer, design.npu))


def vectors(network: IntegerNetwork, split: Split, images: int = VECTOR_IMAGES) -> Vectors:
    """What every layer makes of the first ``images`` images of ``split``."""
    codes = reference.quantise_input(network, split.images[:images])
    logits = network.layers[-1].output
    values = reference.run(network, codes)
    expected = {
        name: value.astype(np.int32 if name == logits else np.uint8)
        for name, value in values.items()
    }
    return Vectors(codes, expected)


def accuracy(network: IntegerNetwork, dataset: Dataset) -> dict[str, float]:
    """Share of images that the integer network gets right: ``validation`` and ``test``."""
    return {
        name: reference.accuracy(network, split.images, split.labels)
        for name, split in (("validation", dataset.validation), ("test", dataset.test))
    }


def write_build(
    design: Design,
    lowered: Lowered,
    dataset: Dataset,
    out: Path,
    *,
    device: Device | None = None,
    reports: Mapping[str, Any] | None = None,
    images: int = VECTOR_IMAGES,
) -> Path:
    """The build folder, with accuracy and estimate beside the given ``reports``. UserError."""
    scores = {**accuracy(lowered.integer, dataset), "dataset": dataset.name}
    estimate = estimate_design(design, devices.family_of(device))
    own = {"accuracy": scores, "estimate": estimate.to_dict()}
    return build_folder.build(
        design,
        lowered.compiled,
        vectors(lowered.integer, dataset.test, images),
        out,
        device=device,
        reports={**own, **(reports or {})},
    )
