"""``codesign train``: train a design's network and write its weights."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from codesign import design as designs
from codesign import prediction
from codesign.build import imported, pipeline
from codesign.build.evaluation import judged
from codesign.cli import (
    data_options,
    float_networks,
    imported_networks,
    options,
    quantisation_options,
    training,
)
from codesign.cli.console import Console
from models.integer.bits import total as all_bits

NAME = "train"
HELP = "train a design's network with quantised weights and activations"
DESCRIPTION = """\
Train the network of a design with quantisation-aware training: first in
floating point, then with the bit widths of the design. The options that make
weights sparse are explained in docs/explanation/training.md.

A float network folder of codesign import is calibrated instead: it gets its bits
and scales from images of --dataset, and is trained on with --finetune.

Input:   a design file, and the files of its data set; or a float network folder.
Output:  a file of weights for codesign build --weights; accuracy and bit counts
         of the weights. Of a network folder also a design file and a report
         beside the weights, and accuracy before and after.

After an interruption, the same command continues after the last finished epoch.
Exit status: 0 success, 2 bad input, 3 the NPU cannot run the network."""
EXAMPLES = """\
  codesign train examples/digits_tiny.yaml --out build/digits_tiny.weights
  codesign train design.yaml --data-dir ~/data --epochs 40 --json
  codesign train design.yaml --boo 2 --zero-blocks 0.5    # few bits set, many zero words
  codesign train resnet8/ --dataset cifar10.zip --weight-bits 4..8 --average-weight-bits 5.5"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser, or_network=True)
    training.arguments(parser)
    data_options.add_to(parser)
    data_options.task(parser)
    imported_networks.npu_option(parser)
    imported_networks.dataset_option(parser, " (default: none; required there)")
    quantisation_options.arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of weights to write (default: the design's path with the suffix .weights)",
    )
    options.memory(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    if imported.is_network(args.design):
        imported_networks.refuse(
            args, training.OPTIONS, "is for designs; --finetune trains a float network"
        )
        return float_networks.train(args, console)
    only = ("npu", "dataset", *quantisation_options.OPTIONS)
    imported_networks.refuse(args, only, "is for network folders alone")
    design = data_options.applied(designs.load(args.design), args)
    out: Path = args.out or args.design.with_suffix(".weights")
    prediction.plan_design(design)  # raises before any work if the NPU cannot run the network
    dataset = training.load_data(design, args.data_dir, console)
    checkpoint = training.checkpoint_of(out)
    trained = training.run(design, dataset, args, checkpoint, console)
    trained.save(out)
    checkpoint.unlink(missing_ok=True)
    found = judged(pipeline.lower_design(design, trained).integer, dataset)
    found = dataclasses.replace(found, notes=(*found.notes, *design.training.notes(dataset)))
    console.say(f"{out}:")
    training.show(found, console)
    bits = pipeline.weight_bits(design, trained)
    total = all_bits(bits.values())
    console.say(
        f"{total.weights:,} weights with {total.ones:,} one-bits "
        f"({total.ones_per_weight:.2f} per weight); "
        f"{total.zero_words:,} of {total.words:,} weight words are zero"
    )
    layers = {name: dataclasses.asdict(counts) for name, counts in bits.items()}
    console.result({"weights": str(out), **found.to_dict(), "bits": layers})
    return 0
