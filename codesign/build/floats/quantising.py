"""Designs of float networks of others: bits and scales by calibration, trained on if asked for.

What comes out is a design and its weights like any other; its input is that of the data set.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from codesign import design as designs
from codesign import prediction
from codesign.build import imported, pipeline
from codesign.build.floats.subjects import Subject
from codesign.build.npu_file import NpuFile
from codesign.compiler import plan
from codesign.design import Design
from codesign.prediction import DesignEstimate
from codesign.results import UserError
from models.graph.network import NetworkGraph
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.yaml import read_quantisation
from rtl_gen.config import NpuConfig

if TYPE_CHECKING:
    from models.training.loop import Progress
    from models.training.trained import TrainedNetwork

FINETUNE_RATE = 1e-3
"""Peak learning rate of training on from a calibrated network."""


@dataclass(frozen=True)
class Bits:
    """Bit widths asked of a float network. Raises UserError for an average without a choice.

    >>> Bits((4, 5, 6), average=5.5).widest.default.weight_bits
    6
    """

    weights: tuple[int, ...] = (8,)
    """Widths of weights, among which layers choose where there are several."""
    activations: int = 8
    average: float | None = None
    """Most bits of a weight on average."""

    def __post_init__(self) -> None:
        if (self.average is None) != (len(self.weights) == 1):
            raise UserError(
                "--average-weight-bits and a range of --weight-bits, such as 4..8, go together"
            )

    @property
    def widest(self) -> Quantisation:
        return Quantisation(8, QuantSpec(max(self.weights), self.activations))


def said_bits(file: NpuFile, graph: NetworkGraph) -> Quantisation | None:
    """Return the quantisation that the file of ``--npu`` says, if any. Raises YamlError."""
    return read_quantisation(file.quantisation, graph) if file.quantisation else None


def npu_of(file: NpuFile | None, graph: NetworkGraph, quantisation: Quantisation) -> NpuConfig:
    """Return the NPU of a file, or the default one, with what the network needs.

    That is widths, and memory depths that the file does not say. Raises YamlError, InfeasibleError
    if no memory depth would make it run the network.
    """
    node = file.npu if file else None
    npu = designs.read_npu(node, graph, quantisation)
    said = tuple(node.mapping()) if node else ()
    return imported.fitted(npu, shape_only(graph, quantisation, npu.scale_bits), said)


def check(file: NpuFile | None, graph: NetworkGraph, quantisation: Quantisation) -> None:
    """Raise InfeasibleError unless the NPU of a file can run a network; other errors as npu_of."""
    npu = npu_of(file, graph, quantisation)
    if file:
        plan(shape_only(graph, quantisation, npu.scale_bits), npu)


def estimate(
    file: NpuFile, graph: NetworkGraph, quantisation: Quantisation, family: str
) -> DesignEstimate:
    """Estimate a float network with its bits on the NPU of a file, by shapes. Raises as npu_of."""
    npu = npu_of(file, graph, quantisation)
    planned = plan(shape_only(graph, quantisation, npu.scale_bits), npu)
    return prediction.estimate_plan(planned, file.clock_mhz, family)


def choose_bits(subject: Subject, bits: Bits, base: Quantisation) -> tuple[Quantisation, list[str]]:
    """Return the quantisation with the bits that are asked for, and notes on what was chosen.

    base: what else it has. Raises ModelError for an average that the widths do not allow.
    """
    from models.calibration import choice, sensitivity  # torch takes seconds to import

    examples = subject.calibration
    notes = [f"scales and biases are calibrated on {len(examples)} training images"]
    base = dataclasses.replace(base, input_zero_point=subject.zero_point)
    if bits.average is None:
        return base, notes
    changes = choice.weight_changes(subject.network, bits.weights)
    given = subject.network, changes, examples, subject.zero_point, subject.lesson
    effects = sensitivity.sensitivity(*given)
    counts = choice.weight_counts(subject.network)
    found = choice.mixed(effects, counts, bits.average, base)
    average = choice.average_bits(found, counts)
    notes.append(f"weights have {average:.2f} bits on average, by each layer's sensitivity on them")
    return found, notes


def calibrate(subject: Subject, design: Design) -> TrainedNetwork:
    """Return the calibrated network of a design. Raises ModelError as calibrating.calibrate."""
    from models.calibration import calibrating  # torch takes seconds to import
    from models.training.trained import TrainedNetwork

    given = design.quantisation, subject.calibration.images, design.npu.scale_bits
    found = calibrating.calibrate(subject.network, *given, subject.lesson)
    ends = subject.dataset.task, subject.offset
    return TrainedNetwork(found.graph, found.quantisation, found.network, (), *ends)


def finetune(
    subject: Subject,
    design: Design,
    calibrated: TrainedNetwork,
    epochs: int,
    checkpoint: Path,
    progress: Progress | None = None,
    threads: int | None = None,
) -> TrainedNetwork:
    """Train a calibrated network on, towards the answers of the float network.

    checkpoint, progress and errors: as for loop.train. threads: of torch, instead of the recipe's.
    """
    from models.calibration import loading  # torch takes seconds to import
    from models.training.loop import train
    from models.training.losses import Start

    settings = dataclasses.replace(
        pipeline.settings_of(design, subject.dataset, epochs),
        learning_rate=FINETUNE_RATE,
        quantised_rate_share=1.0,
        label_smoothing=0.0,
        norm_share=design.training.norm_share or 0.0,  # the network is folded already
        average_epochs=design.training.average_epochs or 0.0,
    )
    settings = dataclasses.replace(settings, threads=threads or settings.threads)
    teacher = loading.load(subject.network, design.quantisation, settings.scale_bits)
    start = Start(calibrated.network, teacher, calibrated.offset)
    return train(
        calibrated.graph, calibrated.quantisation, subject.dataset, settings,
        start=start, checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
