"""Training, lowering and compiling of a design, and the writing of its build folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.build import build_folder
from codesign.build.build_folder import Vectors
from codesign.build.evaluation import judged_report
from codesign.compiler import CompiledNetwork, compile_network
from codesign.design import DatasetSpec, Design
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.prediction import accumulator_of, estimate_design, plan_design
from codesign.tools import caches
from models.data import datasets
from models.data.datasets import Dataset, ReadOptions, Split
from models.data.layout import Layout
from models.data.values import InputRange
from models.errors import DatasetError, ModelError
from models.integer import reference
from models.integer.bits import LayerBits, network_bits
from models.integer.lower import lower
from models.integer.network import IntegerNetwork
from models.quantisation.blocks import BlockShape, Pruning
from models.training.matching import check_task

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.narrowing import Narrow
    from models.training.schedule import TrainSettings
    from models.training.trained import TrainedNetwork

VECTOR_IMAGES = 64
"""Default number of test images whose layer outputs go into a build folder."""


@dataclass(frozen=True, eq=False)
class Lowered:
    """A trained network in integers, and compiled for its NPU. Made by ``lower_design``."""

    integer: IntegerNetwork
    compiled: CompiledNetwork


def weight_blocks(design: Design) -> dict[str, BlockShape]:
    """Return the size of the block of weights in a weight word, by conv2d or linear layer's name.

    A block is one kernel position of the output channels of a tile and the input channels of a word
    (lanes). Grouped layers, and a first layer whose image is unfolded (im2col) by the host, are
    left out. Raises InfeasibleError if the NPU cannot run the network.
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
    """Return the output channels to train without the top weight digit: a pass less for the array.

    These are the last ``share`` (0..1) of the output-channel tiles of each conv2d and linear layer,
    rounded half to even. Left out are the output layer because its channels share one scale, layers
    that would have fewer than 2 weight bits, and those where the share rounds to no tile. Raises
    InfeasibleError if the NPU cannot run the network.
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
    """Count one-bits and zeros (LayerBits) of the trained weights, by layer name.

    A zero digit is one that is 0 in every weight of the layer. Zero weight words are counted only
    in layers with ``weight_blocks``. Raises InfeasibleError if the NPU cannot run the network,
    ModelError when weights break their sparsity pattern.
    """
    _, integer = lower(trained, design.npu.scale_bits)
    return network_bits(integer, weight_blocks(design), design.npu.weight_digit_bits)


def dataset_of(
    design: Design, data_dir: Path | None, progress: datasets.Progress | None = None
) -> Dataset:
    """Load the design's data set and split it by the design's seed.

    A path that is not in ``data_dir`` (None: the current folder) is looked for beside the design
    file. Values are mapped by ``design.input``. progress and errors: as for ``load_data``.
    """
    name, beside = design.dataset.name, design.folder
    missing = name not in datasets.NAMED and not (data_dir or Path()).joinpath(name).exists()
    if missing and beside and (beside / name).exists():
        data_dir = beside
    try:
        return load_data(design.dataset, data_dir, design.seed, progress, design.input)
    except DatasetError as error:
        if missing and beside and data_dir is not beside:
            raise DatasetError(f"{error}; nor is it beside the design, in {beside}") from None
        raise


def load_data(
    spec: DatasetSpec,
    data_dir: Path | None,
    seed: int,
    progress: datasets.Progress | None = None,
    mapping: InputRange | None = None,
) -> Dataset:
    """Load a data set, decoded pictures cached, and split it by ``seed``.

    data_dir, progress, errors (DatasetError, OSError): as for datasets.load. mapping: from values
    to input levels; None: the format's own (8-bit pictures), else found on the training part.
    """
    options = ReadOptions(Layout(spec.layout), spec.resize, mapping, spec.task)
    with caches.folder(caches.DATASETS) as kept:
        return datasets.load(spec.name, data_dir, seed, progress, options=options, cache=kept)


def with_mapping(design: Design, dataset: Dataset) -> Design:
    """Return the design with its data's mapping from values to input levels recorded.

    A design that has a mapping stays as it is. The mapping of 8-bit pixels is not written down: it
    is what a design without one has.
    """
    if design.input is not None or dataset.input_range.is_pixels:
        return design
    return dataclasses.replace(design, input=dataset.input_range)


def settings_of(
    design: Design,
    dataset: Dataset,
    epochs: int | None = None,
    boo: float = 0.0,
    zero_blocks: float = 0.0,
    skip_blocks: float = 0.0,
    skip_digits: float = 0.0,
) -> TrainSettings:
    """Return training settings for ``design``, with the hyperparameters for its image size.

    epochs: None chooses a number within EPOCHS (models.training.choices), for about as many images
    in all. boo: weight of the one-bits per weight in the loss. zero_blocks,
    skip_blocks: fraction of the weight blocks to prune (0..1), anywhere or where the program can
    leave them out; at most one of the two is not 0 (not checked). skip_digits: fraction of the
    output-channel tiles that lose a weight digit.

    Raises ModelError for a value out of range, and InfeasibleError if accumulators are too narrow
    for any training, or blocks or digits are pruned and the NPU cannot run the network.
    """
    from models.training.schedule import TrainSettings  # torch takes seconds to import

    share = zero_blocks or skip_blocks
    blocks = tuple(weight_blocks(design).items()) if share else ()
    chosen = design.training.settings(dataset)
    if epochs is not None:
        chosen["epochs"] = epochs
    return TrainSettings(
        **chosen,
        augmentation=design.training.augmentation(dataset),
        class_weights=design.training.loss_weights(dataset),
        scale_bits=design.npu.scale_bits,
        accumulator=accumulator_of(design),
        boo=boo,
        pruning=Pruning(share, blocks, boxed=skip_blocks > 0) if share else None,
        narrow=narrow_tiles(design, skip_digits) if skip_digits else (),
        seed=design.seed,
    )


def train_design(
    design: Design,
    dataset: Dataset,
    settings: TrainSettings,
    *,
    first: TrainedNetwork | None = None,
    teacher: TrainedNetwork | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> TrainedNetwork:
    """Train the design's network, continuing from the file ``checkpoint`` if it exists.

    first: a network of the same layers and any bits, which training starts from. teacher: as for
    models.training.loop.train. checkpoint: written after each epoch; None: not written. Raises
    InfeasibleError before any training if the NPU cannot run the network; ModelError when one of
    the networks does not match the design's, the data set or the settings, or the checkpoint is of
    another run.
    """
    from models.training.loop import train  # torch takes seconds to import
    from models.training.losses import Start

    plan_design(design)
    if first:
        check_task("the network to start from", first.task, dataset)
    caches.keep_torch_code()
    return train(
        design.network,
        design.quantisation,
        dataset,
        settings,
        start=Start(first.network, offset=first.offset) if first else None,
        teacher=teacher,
        checkpoint=checkpoint,
        progress=progress,
    )


def lower_design(design: Design, trained: TrainedNetwork) -> Lowered:
    """Lower the trained network to integers and compile it for the design's NPU.

    Raises ModelError when ``trained`` has another network or other bit widths than the design, or
    weights that break their sparsity pattern; InfeasibleError when it does not fit the NPU.
    """
    if (trained.graph, trained.quantisation) != (design.network, design.quantisation):
        raise ModelError(f"the weights are of another network or other bits than {design.name}")
    if trained.task != design.dataset.task:
        tasks = f"{trained.task}, {design.name} is for {design.dataset.task}"
        raise ModelError(f"the weights were trained for {tasks} (dataset.task, or --task)")
    _, integer = lower(trained, design.npu.scale_bits)
    return Lowered(integer, compile_network(integer, design.npu))


def vectors(network: IntegerNetwork, split: Split, images: int = VECTOR_IMAGES) -> Vectors:
    """Compute the codes of input and layers for ``split``'s first ``images``, or all it has."""
    codes = reference.quantise_input(network, split.images[:images])
    logits = network.layers[-1].output
    values = reference.run(network, codes)
    expected = {
        name: value.astype(np.int32 if name == logits else np.uint8)
        for name, value in values.items()
    }
    return Vectors(codes, expected)


def write_build(
    design: Design,
    lowered: Lowered,
    dataset: Dataset,
    out: Path,
    *,
    device: Device | None = None,
    reports: Mapping[str, Any] | None = None,
    images: int = VECTOR_IMAGES,
    prefix: str = "",
    warn: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the build folder with vectors, accuracy and estimate to ``out``, and return ``out``.

    device, reports, prefix, warn and errors: as for build_folder.build; the reports accuracy (or
    measures) and estimate are added unless ``reports`` has them. images: most test images to keep
    as vectors. Raises ModelError as evaluation.judged_report does.
    """
    estimate = estimate_design(design, devices.family_of(device), lowered.compiled.plan)
    name, report = judged_report(design, lowered.integer, dataset)
    own = {name: report}
    own["estimate"] = estimate.to_dict()
    return build_folder.build(
        with_mapping(design, dataset),
        lowered.compiled,
        vectors(lowered.integer, dataset.test, images),
        out,
        device=device, reports={**own, **(reports or {})}, prefix=prefix, warn=warn,
    )  # fmt: skip
