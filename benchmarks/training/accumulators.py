"""Accuracy and LUTs of a network that is trained for accumulators of fewer and fewer bits.

``python -m benchmarks.training.accumulators [--bits B ...] [--seeds N] [--epochs N] [--estimate]``

Handwritten digits, three convolutions of 32, 64 and 64 channels, 4-bit weights, activations and
image, on an array of 2 x 8 x 16 products. Prints a JSON object a row; the first is of accumulators
that hold the sums of any weights. Columns:

- bits: of the accumulators; used: those that the trained integers need, of the widest seed
- validation, test: accuracy (0..1) of the integer network, mean over seeds, each of which draws
  split, order and weights; least: that of the worst seed on test images
- zeros: share of the weights that are 0, mean over seeds
- estimated_luts: of the whole NPU, by the area model; luts: by synthesis (``--estimate``: without)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from typing import Any

import numpy as np

from codesign import design as designs
from codesign.build import pipeline
from codesign.compiler import accumulator_bits, worst_accumulator_bits
from codesign.design import Design
from codesign.fpga import synthesis
from codesign.prediction import estimate_design
from models.integer import reference
from models.integer.lower import shape_only
from rtl_gen import emit

DESIGN = """\
name: sums
dataset: {name: digits}
network:
- {name: image, op: input, shape: [1, 8, 8]}
- {name: conv1, op: conv2d, out_channels: 32, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: pool1, op: max_pool, kernel: 2}
- {name: conv2, op: conv2d, out_channels: 64, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: conv3, op: conv2d, out_channels: 64, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: pool3, op: max_pool, kernel: 4}
- {name: logits, op: linear, out_features: 10}
quantisation: {input_bits: 4, default: {weight_bits: 4, activation_bits: 4}}
npu:
  {pixels: 2, lanes: 8, columns: 16, weight_digit_bits: 4, post_units: 4, weight_depth: 2048,
   channel_depth: 64}
"""
NARROWER = (16, 14, 13, 12, 10)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.accumulators")
    parser.add_argument("--bits", type=int, nargs="*", default=list(NARROWER))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--estimate", action="store_true", help="no synthesis")
    args = parser.parse_args(argv)
    wide = designs.loads(DESIGN)
    any_weights = worst_accumulator_bits(shape_only(wide.network, wide.quantisation, scale_bits=8))
    for bits in (any_weights, *args.bits):
        npu = dataclasses.replace(wide.npu, accumulator_bits=bits)
        design = dataclasses.replace(wide, npu=npu)
        row = {"bits": bits} | trained(design, args.seeds, args.epochs)
        row["estimated_luts"] = round(estimate_design(design).figures.luts or 0)
        if not args.estimate:
            row["luts"] = synthesis.synthesise(emit.verilog(design.npu)).figures.luts
        print(json.dumps(row), flush=True)


def trained(design: Design, seeds: int, epochs: int) -> dict[str, Any]:
    """Return the columns that need a training, over so many seeds."""
    rows = []
    for seed in range(seeds):
        one = dataclasses.replace(design, seed=seed)
        dataset = pipeline.dataset_of(one, None)
        settings = dataclasses.replace(
            pipeline.settings_of(one, dataset, epochs), threads=1, compile="never"
        )
        network = pipeline.train_design(one, dataset, settings)
        integer = pipeline.lower_design(one, network).integer  # proves that sums fit
        accuracies = [
            reference.accuracy(integer, split.images, split.labels)
            for split in (dataset.validation, dataset.test)
        ]
        weights = [source.weights for layer in integer.mac_layers for source in layer.sources]
        zeros = float(np.mean(np.concatenate([one.ravel() for one in weights]) == 0))
        rows.append((accumulator_bits(integer, one.npu), *accuracies, zeros))
    used, validation, test, zeros_of = zip(*rows, strict=True)
    return {
        "used": max(used),
        "validation": round(statistics.mean(validation), 4),
        "test": round(statistics.mean(test), 4),
        "least": round(min(test), 4),
        "zeros": round(statistics.mean(zeros_of), 3),
    }


if __name__ == "__main__":
    main()
