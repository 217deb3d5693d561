"""What forms of zero weights cost a float network that is not trained on: N:M patterns and boxes.

``python -m benchmarks.importing.pruning_forms NETWORK DATA [--images N]``

NETWORK: a folder that ``codesign import`` wrote; DATA: pictures with a test part. Each convolution
of several kernel positions, but that of the image, loses weights of least magnitude in turn, all
others whole; then all do. Boxes are those of ``--skip-blocks``: what stays of the kernel positions
and input words of a tile of output channels.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build import pipeline
from codesign.design import DatasetSpec
from models.calibration import loading
from models.importing import folder
from models.quantisation.blocks import BlockShape, kept_box

Floats = NDArray[Any]
Form = Callable[[Floats], NDArray[np.bool_]]
"""Weights (out, in, rows, cols) -> mask of those that stay."""
LANES, EVERY = 8, 1 << 20
"""Input channels of a word; more channels than any layer has."""


@dataclass(frozen=True)
class Cost:
    """What a form costs."""

    form: str
    left: float
    """Share of the weights that stay, 0..1, mean over the layers."""
    squares: float
    """Share of the sum of their squares."""
    points: float
    """Points of accuracy lost with one layer so, mean over the layers."""
    accuracy: float
    """With all layers so, 0..1."""


def n_of_m(weights: Floats, kept: int, group: int) -> NDArray[np.bool_]:
    """Return the mask of the ``kept`` largest of every ``group`` input channels.

    >>> n_of_m(np.array([3.0, 1.0, 2.0, 0.0]).reshape(1, 4, 1, 1), 2, 4).ravel().tolist()
    [True, False, True, False]
    """
    channels = weights.shape[1]
    padded = np.pad(np.abs(weights), ((0, 0), (0, -channels % group), (0, 0), (0, 0)))
    grouped = padded.reshape(len(weights), -1, group, *weights.shape[2:])
    places = np.argsort(np.argsort(-grouped, axis=2, kind="stable"), axis=2)
    return (places < kept).reshape(padded.shape)[:, :channels]


def forms() -> dict[str, Form]:
    """Return the forms by name: half and two thirds of the weights stay."""
    found: dict[str, Form] = {
        "4:8": functools.partial(n_of_m, kept=4, group=8),
        "2:4": functools.partial(n_of_m, kept=2, group=4),
    }
    for share, stays in ((1 / 3, "2/3"), (1 / 2, "1/2")):
        for channels, lanes, what in (
            (8, LANES, "of 8 output channels"),
            (16, LANES, "of 16"),
            (EVERY, EVERY, "of the layer's kernel positions alone"),
        ):
            block = BlockShape(channels, lanes)
            found[f"boxes {what}, {stays}"] = functools.partial(kept_box, block=block, share=share)
    return found


def costs(
    weights: dict[str, Floats], accuracy: Callable[[dict[str, Floats]], float]
) -> Iterator[Cost]:
    """Yield what each form costs. accuracy: of the network whose weights have new values."""
    whole = accuracy({})
    for name, form in forms().items():
        masks = {layer: form(values) for layer, values in weights.items()}
        pruned = {layer: values * masks[layer] for layer, values in weights.items()}
        alone = [accuracy({layer: values}) for layer, values in pruned.items()]
        squares = [
            float((pruned[layer] ** 2).sum() / (values**2).sum())
            for layer, values in weights.items()
        ]
        yield Cost(
            name,
            float(np.mean([mask.mean() for mask in masks.values()])),
            float(np.mean(squares)),
            100 * (whole - float(np.mean(alone))),
            accuracy(pruned),
        )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing.pruning_forms")
    parser.add_argument("network", type=Path, help="folder that codesign import wrote")
    parser.add_argument("data", help="zip or folder of pictures")
    parser.add_argument("--images", type=int, default=1000, help="test images, drawn at random")
    args = parser.parse_args(argv)
    found = folder.load(args.network)
    floating = found.floating
    if floating is None or found.pixels is not None:
        parser.error(f"{args.network} is no float network of pixels 0..255")
    test = pipeline.load_data(DatasetSpec(args.data), None, 0).test
    test = test.take(np.random.default_rng(0).permutation(len(test))[: args.images])
    gain, offset = np.array(found.input.gain), np.array(found.input.offset)

    def accuracy(changed: dict[str, Floats]) -> float:
        network = dataclasses.replace(floating, weights={**floating.weights, **changed})
        return float((loading.answers(network, test.images, gain, offset) == test.labels).mean())

    pruned = {
        key: values
        for key, values in floating.weights.items()
        if values.ndim == 4 and values.shape[1] > LANES and values[0, 0].size > 1
    }
    print(f"{len(test)} test images, {accuracy({}):.1%} with all weights, {len(pruned)} layers")
    print("| what stays | weights | squares | points lost, one layer | accuracy, all layers |")
    for one in costs(pruned, accuracy):
        print(
            f"| {one.form} | {one.left:.0%} | {one.squares:.0%} | {one.points:.1f} "
            f"| {one.accuracy:.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
