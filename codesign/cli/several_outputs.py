"""``build`` of a float network folder with several outputs, which no data has answers to."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from codesign.build import build_folder, npu_choice, npu_file
from codesign.build.floats import quantising, several, subjects
from codesign.build.floats.several import Likeness, Several
from codesign.cli import imported_networks, quantisation_options
from codesign.cli.console import Console, table
from codesign.design import DatasetSpec
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.results import UserError
from models.data.targets import CLASSES
from models.importing.folder import NetworkFolder
from models.integer.network import IntegerNetwork
from models.quantisation.plan import Quantisation
from rtl_gen.config import NpuConfig

NEVER = ("finetune", *imported_networks.NEVER)
"""Options that train."""


def build(
    args: argparse.Namespace, found: NetworkFolder, device: Device | None, console: Console
) -> int:
    """Calibrate the network and write its build folder; the exit status is returned.

    Raises UserError and InfeasibleError before any work, DatasetError, ModelError.
    """
    imported_networks.refuse(args, NEVER, "applies to training, which needs answers to each output")
    file = npu_file.load(args.npu) if args.npu else None
    graph = subjects.graph_of(found)
    bits, base = quantisation_options.bits_of(args, file, graph)
    quantising.check(file, graph, base)  # raises before any work
    spec = _spec(args)

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    made = several.prepare(found, spec, args.data_dir, base.input_bits, read)
    with console.stage("choosing bits and scales", expected_s=30):
        quantisation, notes = quantising.choose_bits(made.subject, bits, base)
        npu = quantising.npu_of(file, made.subject.network.graph, quantisation)
        design = made.subject.design(quantisation, npu, npu_file.CLOCK_MHZ)
        network = made.integer(quantising.calibrate(made.subject, design), npu.scale_bits)
    if args.lut_budget is not None:
        npu = _chosen(network, args.lut_budget, device, console)
    clock = file.clock_mhz if file else npu_file.CLOCK_MHZ
    split = made.subject.dataset.test
    with console.stage("comparing with the float network", expected_s=30):
        alike = made.likenesses(network, quantisation, split)
    report = _report(made, quantisation, alike, len(split))
    with build_folder.locked(args.out):
        lowered = imported_networks.write(
            args, made.design(npu, clock), network, split, {"quantisation": report}, device, console
        )
    _show(alike, console)
    notes = [*made.subject.dataset.notes, *made.subject.notes, *notes]
    for note in notes:
        console.say(f"note: {note}")
    result = imported_networks.built(args.out, lowered, console)
    console.result({**result, **report, "notes": notes})
    return 0


def _spec(args: argparse.Namespace) -> DatasetSpec:
    if args.dataset is None:
        raise UserError("a float network is calibrated on example images: give --dataset")
    return DatasetSpec(args.dataset, args.layout or "auto", args.resize, args.task or CLASSES)


def _chosen(
    network: IntegerNetwork, luts: float, device: Device | None, console: Console
) -> NpuConfig:
    with console.stage("choosing an NPU", expected_s=120):
        family = devices.family_of(device)
        found = npu_choice.choose(network, luts, family, npu_file.CLOCK_MHZ, console.warn)
    return found.npu


def _report(
    made: Several, quantisation: Quantisation, alike: Mapping[str, Likeness], images: int
) -> dict[str, Any]:
    """Return how the network got its bits and how near it is to the float one, as plain data."""
    return {
        "outputs": {name: one.to_dict() for name, one in alike.items()},
        "examples": images,
        "calibration": made.subject.calibration_report(),
        "average_weight_bits": made.subject.average_bits(quantisation),
    }


def _show(alike: Mapping[str, Likeness], console: Console) -> None:
    """Print a line for each output: how near it is to the float network's."""
    head = ("output", "signal to noise", "largest error", "same largest value")
    rows = [
        (
            name, f"{one.noise_db:.1f} dB", f"{one.largest:.3g}",
            "" if one.same is None else f"{100 * one.same:.1f} %",
        )
        for name, one in alike.items()
    ]  # fmt: skip
    console.say(table(head, rows, left=1))
