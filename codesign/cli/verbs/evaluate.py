"""``codesign evaluate``: measure the accuracy of a build folder's network on any data."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from codesign.build import imported, manifest, other_data, pipeline, verification
from codesign.build.built import BuiltNetwork
from codesign.build.evaluation import Measured
from codesign.build.floats import float_accuracy, subjects
from codesign.build.other_data import TestData
from codesign.build.verification import SimulationError, Verification
from codesign.cli import data_options, options, outputs, training
from codesign.cli.console import Console
from codesign.design import DatasetSpec
from codesign.results import UserError
from models.data.datasets import Split
from models.data.targets import CLASSES

NAME = "evaluate"
HELP = "measure the accuracy of a build folder's integer network on any data set"
DESCRIPTION = """\
Run the integer network of a build folder, which computes what its Verilog
computes, on a data set: the test part, or all of it if it has none. The data set
that the network was trained on is split as for training. Values become input
levels as for training; classes are matched by name. Of an imported network values
are those of the file's input, pictures 0 to 255, and classes are matched by number.

Input:   a build folder or a network folder, and the files of the data set.
Output:  accuracy with its 95 % interval, the classes of lowest recall, and notes;
         with --json also recall by class and the confusion matrix. With --task the
         measures of outputs that are no classes (docs/how-to/import.md).

Exit status: 0 success, 1 the simulation differs or failed, 2 bad input (data of
another shape or with other classes included) or missing tool."""
EXAMPLES = """\
  codesign evaluate build/digits_tiny
  codesign evaluate build/digits_tiny --dataset own.npz --json
  codesign evaluate build/flowers --dataset photos/ --resize 32x32 --simulate 4
  codesign evaluate resnet8/ --dataset cifar10.zip
  codesign evaluate autoencoder/ --task reconstruction --dataset machines.npz"""


def arguments(parser: argparse.ArgumentParser) -> None:
    options.build_argument(parser, or_network=True)
    parser.add_argument(
        "--dataset",
        metavar="DATA",
        help="name or path of the data set: digits, mnist, fashion-mnist, cifar10, an .npz, an "
        "image folder or a zip of one (default: the design's own data set)",
    )
    data_options.task(parser)
    options.data_dir(parser)
    data_options.reading(parser, layout="as the design says", resize="as the design says")
    parser.add_argument(
        "--output",
        metavar="NAME",
        help="the output that holds a value for each class, of an imported network of several "
        "(default: the only output)",
    )
    parser.add_argument(
        "--simulate",
        type=options.integer(1, 10000),
        metavar="N",
        help="also run the first N of these images through the Verilog and compare every layer's "
        "output, up to the number of images (default: none)",
    )
    options.timeout(
        parser, "compiling the simulator and running it (--simulate)", verification.TIMEOUT_S
    )
    options.memory(parser)
    options.trust(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    if (args.task or CLASSES) != CLASSES and not manifest.is_build(args.build):
        return _measure(args, console)
    if imported.is_network(args.build) and subjects.is_float(args.build):
        return _evaluate_float(args, console)
    network = options.load_network(args.build, console.warn)
    if args.simulate and imported.is_network(args.build):
        raise UserError("--simulate: a network folder has no Verilog; codesign build makes it")
    if args.simulate:
        verification.check_tools()

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    if args.task not in (None, network.task):
        if network.design is None:
            return _measure(args, console)
        raise UserError(f"--task {args.task}: {args.build} is for {network.task} (dataset.task)")
    judged = network.chosen(args.output)
    data = other_data.load(judged, _spec(network, args), args.data_dir, read)
    with console.stage("evaluating the integer network", expected_s=10):
        found = other_data.evaluate(judged, data)
    said = outputs.test_json(found) if isinstance(found, Measured) else found.to_dict()
    result: dict[str, Any] = {"dataset": data.name, **said}
    training.show(found, console)
    if not args.simulate:
        console.result(result)
        return 0
    try:
        simulated = _simulate(network, data, args, console)
    except (SimulationError, UserError) as error:
        console.result({**result, "simulated": {"error": str(error)}})
        raise
    exact = "bit-exact" if simulated.bit_exact else "NOT bit-exact"
    console.say(f"simulated:     {simulated.images} images, {exact}")
    if simulated.failure:
        console.say(f"first failure: {simulated.failure}")
    names = ("images", "bit_exact", "passed", "failure")
    console.result({**result, "simulated": {name: getattr(simulated, name) for name in names}})
    return 0 if simulated.passed else 1


def _measure(args: argparse.Namespace, console: Console) -> int:
    """Measure outputs that are no classes of the whole; the exit status is returned."""
    if args.simulate or args.resize:
        raise UserError(f"--task {args.task} takes neither --simulate nor --resize")
    spec = _spec(None, args)
    with console.stage("evaluating the network", expected_s=10):
        found = outputs.measured(args.build, spec, args.task, args.data_dir)
    outputs.show(found, console)
    console.result({"dataset": spec.name, **outputs.test_json(found)})
    return 0


def _evaluate_float(args: argparse.Namespace, console: Console) -> int:
    if args.simulate:
        raise UserError("--simulate: a network folder has no Verilog; codesign build makes it")
    spec = _spec(None, args)

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    found = float_accuracy.evaluate(
        subjects.network_of(args.build), spec, args.data_dir, read, args.output
    )
    training.show(found, console)
    console.result({"dataset": spec.name, **found.to_dict()})
    return 0


def _spec(network: BuiltNetwork | None, args: argparse.Namespace) -> DatasetSpec:
    """Return the design's data set with what the command line says instead. Raises UserError."""
    said = {"name": args.dataset, "layout": args.layout, "resize": args.resize}
    given = {name: value for name, value in said.items() if value is not None}
    if network and network.dataset:
        return dataclasses.replace(network.dataset, **given)
    if args.dataset is None:
        raise UserError("an imported network has no data set of its own: give --dataset")
    return DatasetSpec(**given)


def _simulate(
    network: BuiltNetwork, data: TestData, args: argparse.Namespace, console: Console
) -> Verification:
    """Simulate the first ``args.simulate`` examples, or all if there are fewer, with a warning.

    Raises UserError, SimulationError.
    """
    images = args.simulate
    first = Split(data.split.images[:images], data.split.labels[:images])
    vectors = pipeline.vectors(network.network, first, images)
    if len(first) < images:
        console.warn(f"{data.name} has {len(first)} images to test with; all were simulated")
    with console.stage("building and running the simulator", expected_s=60):
        return verification.verify_vectors(
            args.build,
            vectors,
            clock_mhz=network.clock_mhz,
            timeout_s=args.timeout,
            trust=args.trust,
            tell=console.warn,
        )
