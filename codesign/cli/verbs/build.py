"""``codesign build``: train and compile a design, and write its build folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from codesign import design as designs
from codesign import prediction
from codesign.build import build_folder, pipeline
from codesign.cli import options, training
from codesign.cli.console import Console
from codesign.design import Design
from codesign.fpga import devices
from codesign.results import UserError
from models.data.datasets import Dataset

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork

NAME = "build"
HELP = "train, compile and write a design as a build folder with Verilog, program and test bench"
EXAMPLES = """\
  codesign build examples/digits_tiny.yaml --out build/digits_tiny
  codesign build design.yaml --weights design.weights --out build/mine --device xc7s25
Interrupted, the same command goes on after the last finished epoch of training."""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="the build folder")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights of codesign train, instead of training",
    )
    options.training(parser)
    options.device(parser)
    parser.add_argument(
        "--images",
        type=options.integer(1, 10000),
        default=pipeline.VECTOR_IMAGES,
        metavar="N",
        help="test images to keep as vectors (default: %(default)s)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    for name in ("epochs", "boo", "zero_blocks", "skip_blocks", "skip_digits"):
        if args.weights and getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} is for training, which --weights replaces: give one of them")
    design = designs.load(args.design)
    build_folder.check_free(args.out)
    device = devices.get(args.device) if args.device else None
    prediction.plan_design(design)  # raises before any work if the NPU cannot run the network
    dataset = training.load_data(design, args.data_dir, console)
    lowered = pipeline.lower_design(design, _trained(args, design, dataset, console))
    with console.stage("writing Verilog, program and vectors", expected_s=10):
        pipeline.write_build(design, lowered, dataset, args.out, device=device, images=args.images)
    training.checkpoint_of(args.out).unlink(missing_ok=True)
    plan = lowered.compiled.plan
    console.say(
        f"{args.out}: {design.npu.macs} products/cycle, {plan.cycles:,} cycles an image, "
        f"{100 * plan.utilisation:.1f} % of the products useful"
    )
    console.say(f"next: codesign verify {args.out}; codesign synth {args.out}")
    console.result({"build": str(args.out), "cycles_per_image": plan.cycles})
    return 0


def _trained(
    args: argparse.Namespace, design: Design, dataset: Dataset, console: Console
) -> TrainedNetwork:
    if args.weights is None:
        checkpoint = training.checkpoint_of(args.out)
        return training.run(design, dataset, args, checkpoint, console)
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    return TrainedNetwork.load(args.weights)
