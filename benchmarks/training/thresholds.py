"""Accuracy and LUTs with learned thresholds of each channel, against learned steps of each tensor.

``python -m benchmarks.training.thresholds [--bits B ...] [--seeds N] [--epochs N] [--estimate]
[--design FILE]``

Handwritten digits, three convolutions of 16, 32 and 32 channels, weights of 2 bits, activations
of 1 to 3 bits and an image of 4, on an array of 2 x 8 x 16 products; or the network, data and NPU
of a design file, of which the validation images alone are looked at. Prints a JSON object a row:

- bits: of the activations; post_units: multiply or thresholds; codes: by even steps or learned
- validation, test: accuracy (0..1) of the integer network, mean over seeds, each of which draws
  split, order and weights; least: that of the worst seed on validation images. A network of even
  steps is the same on both kinds of post units
- seconds: wall-clock time of a training, mean over seeds
- estimated_luts: of the whole NPU, by the area model; luts: by synthesis (``--estimate``: without)
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import Any

from codesign import design as designs
from codesign.build import pipeline
from codesign.design import Design
from codesign.fpga import synthesis
from codesign.prediction import estimate_design
from models.integer import reference
from rtl_gen import emit

DESIGN = """\
name: codes
dataset: {name: digits}
network:
- {name: image, op: input, shape: [1, 8, 8]}
- {name: conv1, op: conv2d, out_channels: 16, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: pool1, op: max_pool, kernel: 2}
- {name: conv2, op: conv2d, out_channels: 32, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: conv3, op: conv2d, out_channels: 32, kernel: 3, padding: 1, batch_norm: true, relu: true}
- {name: pool3, op: max_pool, kernel: 4}
- {name: logits, op: linear, out_features: 10}
training: {float_share: 0.2, norm_share: 0.7, average_epochs: 1.0}
quantisation: {input_bits: 4, default: {weight_bits: 2, activation_bits: 3}}
npu:
  {pixels: 2, lanes: 8, columns: 16, weight_digit_bits: 2, activation_bits: 3, post_units: 4,
   accumulator_bits: 16, weight_depth: 2048, channel_depth: 256, wide_input_passes: 1}
"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.thresholds")
    parser.add_argument("--bits", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--estimate", action="store_true", help="no synthesis")
    parser.add_argument("--design", type=Path, help="design file, instead of the digits")
    args = parser.parse_args(argv)
    base = designs.load(args.design) if args.design else designs.loads(DESIGN)
    for bits in args.bits:
        for learned in (False, True):
            design = of(base, bits, learned)
            told = trained(design, args.seeds, args.epochs, looks=args.design is None)
            for units in ("thresholds",) if learned else ("multiply", "thresholds"):
                npu = dataclasses.replace(design.npu, requantisation=units)
                row = {"bits": bits, "post_units": units, "codes": "learned" if learned else "even"}
                row |= told | luts(dataclasses.replace(design, npu=npu), args.estimate)
                print(json.dumps(row), flush=True)


def of(base: Design, bits: int, learned: bool) -> Design:
    """Return the design with activations of so many bits, on an array of that width."""
    quantisation = base.quantisation
    layers = {
        name: dataclasses.replace(spec, activation_bits=bits)
        for name, spec in quantisation.layers.items()
    }
    default = dataclasses.replace(quantisation.default, activation_bits=bits)
    input_bits = quantisation.input_bits if base.npu.wide_input_passes else bits
    npu = dataclasses.replace(base.npu, activation_bits=bits, requantisation="thresholds")
    return dataclasses.replace(
        base,
        npu=npu,
        quantisation=dataclasses.replace(
            quantisation, default=default, layers=layers, input_bits=input_bits,
            learned_thresholds=learned,
        ),
    )  # fmt: skip


def trained(design: Design, seeds: int, epochs: int, *, looks: bool) -> dict[str, Any]:
    """Return the columns that need a training, over so many seeds; looks: at test images, too."""
    rows: list[tuple[float, ...]] = []
    for seed in range(seeds):
        one = dataclasses.replace(design, seed=seed)
        dataset = pipeline.dataset_of(one, None)
        settings = dataclasses.replace(pipeline.settings_of(one, dataset, epochs), threads=1)
        start = time.monotonic()
        network = pipeline.train_design(one, dataset, settings)
        took = time.monotonic() - start
        integer = pipeline.lower_design(one, network).integer
        parts = (dataset.validation, dataset.test) if looks else (dataset.validation,)
        rows.append((took, *(reference.accuracy(integer, s.images, s.labels) for s in parts)))
    seconds, validation, *test = zip(*rows, strict=True)
    found = {
        "validation": round(statistics.mean(validation), 4),
        "least": round(min(validation), 4),
        "seconds": round(statistics.mean(seconds), 1),
    }
    if test:
        found["test"] = round(statistics.mean(test[0]), 4)
    return found


def luts(design: Design, estimate: bool) -> dict[str, Any]:
    """Return the LUTs of the design's NPU, estimated and, unless ``estimate``, synthesised."""
    found: dict[str, Any] = {"estimated_luts": round(estimate_design(design).figures.luts or 0)}
    if not estimate:
        found["luts"] = synthesis.synthesise(emit.verilog(design.npu)).figures.luts
    return found


if __name__ == "__main__":
    main()
