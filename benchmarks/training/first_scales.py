"""First scales of weights: LSQ's own against those of least squared error, in short trainings.

    python -m benchmarks.training.first_scales [--seeds 8] [--epochs 10]

Prints a JSON object a row: bits of weights and activations, the first scales, and mean accuracies
(0..1) of the first quantised epoch and of all of them on validation images, and of the kept one on
test images. Digits, the example network; a seed draws split, order and weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from codesign import design as designs
from codesign.build import pipeline
from models.quantisation.fake_quantisers import SMALLEST_SCALE, WeightQuantiser
from models.quantisation.plan import Quantisation, QuantSpec
from models.training.loop import train

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits_tiny.yaml"
BITS = ((2, 4), (4, 4), (8, 8))
"""(Weight bits, activation bits) of a row."""


@torch.no_grad()
def lsq(quantiser: WeightQuantiser, weights: Tensor) -> None:
    """Set LSQ's initial scales, ``2 * mean(|w|) / sqrt(top)`` (arXiv 1902.08153)."""
    mean = weights.abs().mean(dim=(1, 2, 3), keepdim=True)
    if quantiser.log_scale.numel() == 1:
        mean = mean.mean(dim=0, keepdim=True)
    start = 2 * mean / math.sqrt(quantiser.high)
    quantiser.log_scale.copy_(torch.log(start.clamp_min(SMALLEST_SCALE)))


RULES = {"LSQ": lsq, "least squares": WeightQuantiser.calibrate}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.first_scales")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args(argv)
    for bits in BITS:
        for name in RULES:
            rows = [accuracies(bits, name, seed, args.epochs) for seed in range(args.seeds)]
            means = [round(statistics.mean(column), 4) for column in zip(*rows, strict=True)]
            kinds = ("first_epoch", "quantised_epochs", "test")
            row = {"weight_bits": bits[0], "activation_bits": bits[1], "first_scales": name}
            print(json.dumps(row | dict(zip(kinds, means, strict=True))), flush=True)


def accuracies(bits: tuple[int, int], rule: str, seed: int, epochs: int) -> tuple[float, ...]:
    """Return the three accuracies of a row for one seed."""
    design = dataclasses.replace(designs.load(EXAMPLE), seed=seed)
    dataset = pipeline.dataset_of(design, None)
    settings = pipeline.settings_of(design, dataset, epochs=epochs)
    with mock.patch.object(WeightQuantiser, "calibrate", RULES[rule]):
        trained = train(design.network, Quantisation(8, QuantSpec(*bits)), dataset, settings)
    reached = [epoch.accuracy for epoch in trained.history if epoch.quantised]
    return reached[0], statistics.mean(reached), trained.evaluate(dataset.test)


if __name__ == "__main__":
    main()
