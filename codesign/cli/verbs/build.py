"""``codesign build``: train and compile a design, and write its build folder."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from codesign import design as designs
from codesign import prediction
from codesign.build import build_folder, imported, pipeline
from codesign.build.evaluation import judged, score_of, training_report
from codesign.build.floats import subjects
from codesign.cli import (
    data_options,
    float_networks,
    imported_networks,
    options,
    quantisation_options,
    training,
)
from codesign.cli.console import Console
from codesign.design import Design
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.results import UserError
from models.data.datasets import Dataset
from models.training.matching import check_match
from rtl_gen.naming import check_prefix

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork

NAME = "build"
HELP = (
    "train and compile a design, or compile an imported network, and write its Verilog, program "
    "and test bench to a folder"
)
DESCRIPTION = """\
Train the network of a design (or take its weights from --weights), convert it to
integers, compile it to the program of the NPU, and write a build folder.

A quantised network folder of codesign import is not trained, a float one is
calibrated on images of --dataset, and trained on with --finetune: give its NPU
with --npu, or let it be chosen with --lut-budget.

Input:   a design file, and the files of its data set; or a network folder.
Output:  the build folder: Verilog (rtl/), program and memory images, test vectors,
         test bench (sim/), host driver (driver/), constraints and scripts for
         Vivado, Yosys and FuseSoC, reports of accuracy and estimates.

After an interruption, the same command continues after the last finished epoch.
Of a build folder that is already at --out the files of the build are replaced;
yours stay in it, those that you changed with .kept behind their names. Any other
folder is refused.
Exit status: 0 success, 2 bad input, 3 the NPU cannot run the network."""
EXAMPLES = """\
  codesign build examples/digits_tiny.yaml --out build/digits_tiny
  codesign build design.yaml --weights design.weights --out build/mine --device xc7s25
  codesign build resnet8/ --npu npu.yaml --dataset cifar10.zip --out build/resnet8
  codesign build resnet8/ --lut-budget 15000 --out build/resnet8"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.design_file(parser, or_network=True)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="build folder to write (required)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="file of weights written by codesign train (default: train here)",
    )
    imported_networks.arguments(parser)
    quantisation_options.arguments(parser)
    training.arguments(parser)
    data_options.add_to(parser)
    data_options.task(parser)
    options.device(
        parser,
        f"project files, constraints and estimates are for this part (default: {devices.DEFAULT})",
    )
    options.prefix(parser)
    parser.add_argument(
        "--images",
        type=options.integer(1, 10000),
        default=pipeline.VECTOR_IMAGES,
        metavar="N",
        help="test images to store as vectors for codesign verify (default: %(default)s)",
    )
    options.memory(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    if imported.is_network(args.design):
        return _build_network(args, console)
    only = (*imported_networks.ONLY, *quantisation_options.OPTIONS)
    imported_networks.refuse(args, only, "is for network folders alone")
    for name in training.OPTIONS:
        if args.weights and getattr(args, name):
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option} applies to training, which --weights replaces; give only one of them"
            )
    design = data_options.applied(designs.load(args.design), args)
    check_prefix(args.prefix or "")
    build_folder.check_free(args.out)
    device = devices.get(args.device) if args.device else None
    prediction.plan_design(design)  # raises before any work if the NPU cannot run the network
    dataset = training.load_data(design, args.data_dir, console)
    with build_folder.locked(args.out):
        return _build(args, design, dataset, device, console)


def _build_network(args: argparse.Namespace, console: Console) -> int:
    if subjects.is_float(args.design):
        names = (*training.OPTIONS, "weights")
        imported_networks.refuse(args, names, "is for designs; --finetune trains a float network")
        return float_networks.build(args, console)
    imported_networks.refuse(args, quantisation_options.OPTIONS, "is for float networks alone")
    return imported_networks.build(args, console)


def _build(
    args: argparse.Namespace,
    design: Design,
    dataset: Dataset,
    device: Device | None,
    console: Console,
) -> int:
    check_match(design.network, dataset)  # weights may be given, so that no training looks at it
    trained = _trained(args, design, dataset, console)
    lowered = pipeline.lower_design(design, trained)
    found = judged(lowered.integer, dataset)
    curves = {"training": training_report(trained.history, score=score_of(found))}
    with console.stage("writing Verilog, program and vectors", expected_s=10):
        pipeline.write_build(
            design, lowered, dataset, args.out,
            device=device, reports=curves, images=args.images, prefix=args.prefix or "",
            warn=console.warn,
        )  # fmt: skip
    training.checkpoint_of(args.out).unlink(missing_ok=True)
    guessed = design.training.notes(dataset) if args.weights is None else ()
    assumed = (devices.ASSUMED,) if device is None else ()
    found = dataclasses.replace(found, notes=(*found.notes, *guessed, *assumed))
    training.show(found, console)
    result = imported_networks.built(args.out, lowered, console)
    console.result({**result, **found.to_dict()})
    return 0


def _trained(
    args: argparse.Namespace, design: Design, dataset: Dataset, console: Console
) -> TrainedNetwork:
    if args.weights is None:
        checkpoint = training.checkpoint_of(args.out)
        return training.run(design, dataset, args, checkpoint, console)
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    return TrainedNetwork.load(args.weights)
