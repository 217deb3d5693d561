"""``codesign train``: train a design's network and write its weights."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from codesign import design as designs
from codesign import prediction
from codesign.build import pipeline
from codesign.cli import options, training
from codesign.cli.console import Console
from models.integer.bits import total as all_bits

NAME = "train"
HELP = "train a design's network with quantised weights and activations"
EXAMPLES = """\
  codesign train examples/digits_tiny.yaml --out build/digits_tiny.weights
  codesign train design.yaml --data-dir ~/data --epochs 40 --json
  codesign train design.yaml --boo 2 --zero-blocks 0.5    # weights of few ones and many zeros
Interrupted, the same command goes on after the last finished epoch."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser)
    options.training(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the weights (default: beside the design)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    design = designs.load(args.design)
    out: Path = args.out or args.design.with_suffix(".weights")
    prediction.plan_design(design)  # raises before any work if the NPU cannot run the network
    dataset = training.load_data(design, args.data_dir, console)
    checkpoint = training.checkpoint_of(out)
    trained = training.run(design, dataset, args, checkpoint, console)
    trained.save(out)
    checkpoint.unlink(missing_ok=True)
    scores = {
        "validation": trained.validation_accuracy,
        "test": trained.evaluate(dataset.test),
    }
    console.say(
        f"{out}: {100 * scores['validation']:.2f} % of the validation images, "
        f"{100 * scores['test']:.2f} % of the test images"
    )
    bits = pipeline.weight_bits(design, trained)
    total = all_bits(bits.values())
    console.say(
        f"{total.ones:,} one-bits in {total.weights:,} weights ({total.ones_per_weight:.2f} each); "
        f"{total.zero_words:,} of {total.words:,} weight words are zero"
    )
    layers = {name: dataclasses.asdict(counts) for name, counts in bits.items()}
    console.result({"weights": str(out), "accuracy": scores, "bits": layers})
    return 0
