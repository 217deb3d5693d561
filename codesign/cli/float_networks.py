"""Commands on float network folders: what ``train``, ``build`` and ``estimate`` do with one."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign.build import (
    build_folder,
    npu_choice,
    npu_file,
    pipeline,
)
from codesign.build.evaluation import PARTS, Judged, judged, score_of, training_report
from codesign.build.floats import float_accuracy, quantising, subjects
from codesign.build.floats.float_accuracy import Stage
from codesign.build.floats.quantising import Bits
from codesign.build.floats.subjects import Subject
from codesign.cli import (
    data_options,
    imported_networks,
    outputs,
    quantisation_options,
    several_outputs,
    training,
)
from codesign.cli.console import Console, table
from codesign.design import DatasetSpec, Design
from codesign.fpga import devices
from codesign.fpga.devices import Device
from codesign.prediction import DesignEstimate, accumulator_of
from codesign.results import UserError
from models.data.targets import CLASSES
from models.files import json_io
from models.files.reading import TEXT_BYTES, FileError, read_bytes
from models.integer.lower import lower
from rtl_gen.config import NpuConfig
from rtl_gen.naming import check_prefix

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork


@dataclass(frozen=True, eq=False)
class _Quantised:
    """A float network with bits: its design and weights, and the accuracy on the way there."""

    subject: Subject
    design: Design
    trained: TrainedNetwork
    stages: tuple[Stage, ...]
    found: Judged
    """How good the integer network is."""

    def report(self) -> dict[str, Any]:
        """Return how the network got its bits, as plain data."""
        return {
            "stages": {stage.name: stage.to_dict() for stage in self.stages},
            "calibration": self.subject.calibration_report(),
            "average_weight_bits": self.subject.average_bits(self.design.quantisation),
        }

    def show(self, console: Console) -> None:
        """Print accuracy, or another score, before and after, and all notes."""
        task = self.design.dataset.task
        head = ("accuracy" if task == CLASSES else "score", *PARTS)
        console.say(table(head, float_accuracy.rows(self.stages), left=3))
        training.show(self.found, console)


def train(args: argparse.Namespace, console: Console) -> int:
    """Run ``train`` on the float network folder ``args.design``; the exit status is returned."""
    folder = args.design if args.design.name.strip(".") else args.design.resolve()
    out: Path = args.out or folder.with_name(f"{folder.name}.weights")
    design, report = out.with_suffix(".yaml"), out.with_suffix(".json")
    _check_free(out, design, report)
    checkpoint = training.checkpoint_of(out)
    made = _quantised(args, checkpoint, console)
    made.trained.save(out)
    written = {"design_sha256": sha256(made.design.to_yaml().encode()).hexdigest()}
    json_io.write(report, {**written, **made.report(), "notes": list(made.found.notes)})
    made.design.save(design)
    checkpoint.unlink(missing_ok=True)
    made.show(console)
    console.say(f"written: {design}, {out}, {report}")
    words = " ".join(shlex.quote(str(path)) for path in (design, "--weights", out))
    console.say(f"next: codesign build {words} --out ...")
    files = {"design": str(design), "weights": str(out)}
    console.result({**files, **made.found.to_dict(), **made.report()})
    return 0


def _check_free(out: Path, design: Path, report: Path) -> None:
    """Raise UserError if a design would be overwritten that an earlier ``train`` did not write."""
    if out in (design, report):
        raise UserError(f"--out {out}: .yaml and .json are the ends of the files beside it")
    if not design.exists():
        return
    try:
        found = sha256(read_bytes(design, TEXT_BYTES)).hexdigest()
        ours = json_io.load(report).at("design_sha256").string() == found
    except FileError:
        ours = False
    if not ours:
        raise UserError(f"{design} is not as codesign train wrote it; name another --out")


def build(args: argparse.Namespace, console: Console) -> int:
    """Run ``build`` on the float network folder ``args.design``; the exit status is returned."""
    if args.npu is None and args.lut_budget is None:
        raise UserError(f"{args.design} is a network folder: give its NPU with --npu")
    check_prefix(args.prefix or "")
    build_folder.check_free(args.out)
    device = devices.get(args.device) if args.device else None
    found = subjects.network_of(args.design)
    if len(found.outputs) > 1:
        return several_outputs.build(args, found, device, console)
    with build_folder.locked(args.out):
        made = _quantised(args, training.checkpoint_of(args.out), console)
        if args.lut_budget is not None:
            npu = _chosen(made, args.lut_budget, devices.family_of(device), console)
            made = dataclasses.replace(made, design=dataclasses.replace(made.design, npu=npu))
        return _write(made, args, device, console)


def _chosen(made: _Quantised, luts: float, family: str, console: Console) -> NpuConfig:
    _, integer = lower(made.trained, made.design.npu.scale_bits)
    with console.stage("choosing an NPU", expected_s=120):
        clock = made.design.clock_mhz
        return npu_choice.choose(integer, luts, family, clock, console.warn).npu


def _write(
    made: _Quantised, args: argparse.Namespace, device: Device | None, console: Console
) -> int:
    lowered = pipeline.lower_design(made.design, made.trained)
    curves = training_report(made.trained.history, score=score_of(made.found))
    reports = {"quantisation": made.report(), "training": curves}
    with console.stage("writing Verilog, program and vectors", expected_s=10):
        pipeline.write_build(
            made.design, lowered, made.subject.dataset, args.out,
            device=device, reports=reports, images=args.images, prefix=args.prefix or "",
            warn=console.warn,
        )  # fmt: skip
    training.checkpoint_of(args.out).unlink(missing_ok=True)
    made.show(console)
    if device is None:
        console.say(f"note: {devices.ASSUMED}")
    result = imported_networks.built(args.out, lowered, console)
    console.result({**result, **made.found.to_dict(), **made.report()})
    return 0


def estimate(path: Path, npu: Path | None, family: str) -> DesignEstimate:
    """Estimate a float network folder on the NPU of a file, by its shapes. Raises UserError."""
    if npu is None:
        raise UserError(f"{path} is a network folder: give its NPU with --npu")
    graph, file = subjects.graph_of(subjects.network_of(path)), npu_file.load(npu)
    quantisation = quantising.said_bits(file, graph) or Bits().widest
    return quantising.estimate(file, graph, quantisation, family)


# Quantisation --------------------------------------------------------------------------------


def _quantised(args: argparse.Namespace, checkpoint: Path, console: Console) -> _Quantised:
    """Calibrate a float network as the options say, and train it on if they do.

    checkpoint: of that training. Raises UserError, InfeasibleError before any work, DatasetError,
    ModelError.
    """
    found = subjects.network_of(args.design)
    file = npu_file.load(args.npu) if args.npu else None
    bits, base = quantisation_options.bits_of(args, file, subjects.graph_of(found))
    if args.dataset is None:
        raise UserError("a float network is calibrated on example images: give --dataset")
    task = args.task or CLASSES
    outputs.check_host(args.design, task)
    spec = DatasetSpec(args.dataset, args.layout or "auto", args.resize, task)

    def read(done: int, total: int) -> None:
        console.progress("reading images", done, total)

    quantising.check(file, subjects.graph_of(found), base)  # raises before any work
    subject = subjects.prepare(found, spec, args.data_dir, base.input_bits, read)
    with console.stage("choosing bits and scales", expected_s=30):
        quantisation, notes = quantising.choose_bits(subject, bits, base)
        npu = quantising.npu_of(file, subject.network.graph, quantisation)
        design = subject.design(quantisation, npu, file.clock_mhz if file else npu_file.CLOCK_MHZ)
        design = data_options.applied(design, args)
        trained = quantising.calibrate(subject, design)
    with console.stage("evaluating", expected_s=60):
        before = float_accuracy.of_float(subject, quantisation)
        first = judged(lower(trained, npu.scale_bits)[1], subject.dataset)
    stages = before, Stage("calibrated", first.results)
    made = _Quantised(subject, design, trained, stages, first)
    if args.finetune:
        made = _finetuned(made, args.finetune, checkpoint, console)
        notes += made.design.training.notes(subject.dataset)
    notes = [*made.found.notes, *subject.notes, float_accuracy.ROUNDED, *notes]
    return dataclasses.replace(made, found=dataclasses.replace(made.found, notes=tuple(notes)))


def _finetuned(made: _Quantised, epochs: int, checkpoint: Path, console: Console) -> _Quantised:
    """Train a calibrated network on; it stays where validation images say that it was better.

    It does not where training keeps to accumulators, of which calibration knows nothing.
    """
    score = training.score_name(made.design, made.subject.dataset)
    with training.progress(epochs, checkpoint, console, score) as epoch:
        trained = quantising.finetune(
            made.subject, made.design, made.trained, epochs, checkpoint, epoch
        )
    found = judged(lower(trained, made.design.npu.scale_bits)[1], made.subject.dataset)
    stages = (*made.stages, Stage("finetuned", found.results))
    after, before = (one.results["validation"].number for one in (found, made.found))
    if after < before and accumulator_of(made.design) is None:
        note = "the calibrated network was better on validation images than the trained one: kept"
        kept = dataclasses.replace(made.found, notes=(*made.found.notes, note))
        return dataclasses.replace(made, stages=stages, found=kept)
    return dataclasses.replace(made, stages=stages, found=found, trained=trained)
