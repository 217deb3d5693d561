"""Commands on network folders: what ``build`` and ``estimate`` do with an imported network."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codesign.build import build_folder, imported, imported_build, npu_choice, npu_file, other_data
from codesign.build.built import BuiltNetwork, of_network
from codesign.build.imported import ImportedDesign
from codesign.build.other_data import TestData
from codesign.build.pipeline import Lowered
from codesign.cli import options, training
from codesign.cli.console import Console
from codesign.design import DatasetSpec
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.results import UserError
from models.data.datasets import Split
from models.integer.network import IntegerNetwork
from rtl_gen.naming import check_prefix

ONLY = ("npu", "lut_budget", "dataset")
"""Options of ``build`` for network folders alone."""
NEVER = (
    *training.OPTIONS, "weights", "augment", "shift_rows", "shift_columns", "cutout",
    "class_weights",
)  # fmt: skip
"""Options of ``build`` that train, which an imported network is not."""


def npu_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--npu``, the NPU of a network folder."""
    parser.add_argument(
        "--npu",
        type=Path,
        metavar="FILE.yaml",
        help="NPU of a network folder: a file with a block npu as in a design file, and perhaps "
        "clock_mhz (default: none); widths and memory depths that it does not say are what the "
        "network needs",
    )


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``build`` for network folders."""
    npu = parser.add_mutually_exclusive_group()
    npu_option(npu)
    npu.add_argument(
        "--lut-budget",
        type=options.number(1),
        metavar="N",
        help="choose the NPU of a network folder: the fastest by the estimates that takes at most "
        "N LUTs after synthesis, which takes minutes (default: --npu says the NPU)",
    )
    dataset_option(parser, " (default: none; the vectors are random); required by a float network")


def dataset_option(parser: argparse._ActionsContainer, default: str) -> None:
    """Add ``--dataset`` for network folders; default: what the help says at its end."""
    parser.add_argument(
        "--dataset",
        metavar="DATA",
        help="of a network folder: data set that a float network is calibrated on, for accuracy "
        f"and test vectors, as for codesign evaluate{default}",
    )


def refuse(args: argparse.Namespace, names: tuple[str, ...], why: str) -> None:
    """Raise UserError if one of these options is given."""
    for name in names:
        if getattr(args, name):
            raise UserError(f"--{name.replace('_', '-')} {why}")


def design_of(path: Path, npu: Path | None) -> tuple[ImportedDesign, IntegerNetwork]:
    """Return the design of a network folder on a file's NPU. Raises as imported.of does."""
    if npu is None:
        raise UserError(f"{path} is a network folder: give its NPU with --npu")
    return imported.of(path, npu)


def build(args: argparse.Namespace, console: Console) -> int:
    """Run ``build`` on the network folder ``args.design``; the exit status is returned."""
    refuse(args, NEVER, "applies to training, and an imported network is not trained")
    refuse(args, ("task",), "measures such a network with codesign evaluate; build it without")
    check_prefix(args.prefix or "")
    build_folder.check_free(args.out)
    device = devices.get(args.device) if args.device else None
    found, integer = imported.network_of(args.design)
    network = of_network(found, integer)
    if args.lut_budget is None:
        design, _ = design_of(args.design, args.npu)
        imported_build.lower(design, integer)  # raises before any work
    data = _data(args, network, console)
    if args.lut_budget is not None:
        with console.stage("choosing an NPU", expected_s=120):
            chosen = npu_choice.choose(
                integer, args.lut_budget, devices.family_of(device), npu_file.CLOCK_MHZ,
                console.warn,
            )  # fmt: skip
        design = imported.on(found, chosen.npu)
    with build_folder.locked(args.out):
        return _write(args, design, network, data, device, console)


def _data(args: argparse.Namespace, network: BuiltNetwork, console: Console) -> TestData | None:
    if args.dataset is None:
        return None

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    spec = DatasetSpec(args.dataset, args.layout or "auto", args.resize)
    return other_data.load(network, spec, args.data_dir, read)


def _write(
    args: argparse.Namespace,
    design: ImportedDesign,
    network: BuiltNetwork,
    data: TestData | None,
    device: Device | None,
    console: Console,
) -> int:
    found, reports = imported_build.judged_reports(design, network, data) if data else (None, {})
    split = (
        data.split if data else imported_build.random_split(network, args.images, design.seed)
    )  # fmt: skip
    lowered = write(args, design, network.network, split, reports, device, console)
    if found:
        training.show(found, console)
    result = built(args.out, lowered, console)
    console.result({**result, **(found.to_dict() if found else {})})
    return 0


def write(
    args: argparse.Namespace,
    design: ImportedDesign,
    network: IntegerNetwork,
    split: Split,
    reports: Mapping[str, Any],
    device: Device | None,
    console: Console,
) -> Lowered:
    """Compile an imported network and write its build folder, with vectors of ``split``."""
    lowered = imported_build.lower(design, network)
    with console.stage("writing Verilog, program and vectors", expected_s=10):
        imported_build.write(
            design, lowered, split, args.out, reports=reports,
            device=device, images=args.images, prefix=args.prefix or "", warn=console.warn,
        )  # fmt: skip
    if device is None:
        console.say(f"note: {devices.ASSUMED}")
    return lowered


def built(out: Path, lowered: Lowered, console: Console) -> dict[str, Any]:
    """Print a line on a build folder and one on what comes next; return its JSON form."""
    plan = lowered.compiled.plan
    console.say(
        f"{out}: {plan.schedule.config.macs} products per cycle, {plan.cycles:,} cycles per image, "
        f"{100 * plan.utilisation:.1f} % array utilisation"
    )
    folder = shlex.quote(str(out))
    console.say(f"next: codesign verify {folder}; codesign synth {folder}")
    return {"build": str(out), "cycles_per_image": plan.cycles}
