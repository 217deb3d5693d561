"""Designs of float networks of others: bits and scales by calibration, trained on if asked for.

What comes out is a design and its weights like any other; its input is that of the data set.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codesign import design as designs
from codesign import prediction
from codesign.build import imported, pipeline
from codesign.build.npu_file import NpuFile
from codesign.compiler import plan
from codesign.design import DatasetSpec, Design
from codesign.prediction import DesignEstimate
from codesign.results import UserError
from models.calibration import answers, inputs
from models.data import datasets
from models.data.datasets import Dataset, Split
from models.data.targets import CLASSES, RECONSTRUCTION
from models.data.values import PIXELS, InputRange
from models.graph.network import NetworkGraph
from models.importing import folder
from models.importing.ends import array_notes, pixel_notes
from models.importing.floating import FloatNetwork
from models.importing.folder import NetworkFolder
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from models.quantisation.yaml import read_quantisation
from models.tasks.kinds import TASKS
from models.training.matching import check_match
from rtl_gen.config import NpuConfig

if TYPE_CHECKING:
    from models.tasks.lessons import Lesson
    from models.training.loop import Progress
    from models.training.trained import TrainedNetwork

SEED = 0
"""Seed of the design: of the data split and of training."""
FINETUNE_RATE = 1e-3
"""Peak learning rate of training on from a calibrated network."""
SEEN = (
    "the file's network may have been trained on images that are validation here, which flatters "
    "validation accuracy; test images count"
)


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


@dataclass(frozen=True, eq=False)
class Subject:
    """A float network that takes the input levels of a data set. Made by ``prepare``."""

    name: str
    network: FloatNetwork
    zero_point: int
    """Code of the input that is the network's value 0."""
    spec: DatasetSpec
    dataset: Dataset
    input: InputRange | None
    """The data's numbers that become input level 0 and 255; None: pixels."""
    notes: tuple[str, ...]
    offset: tuple[float, ...] = ()
    """Added to the outputs of each channel for numbers of the data; empty: 0."""

    @property
    def lesson(self) -> Lesson:
        """Targets and loss that training takes from the data."""
        output = self.network.graph.shapes[self.network.graph.output.name]
        return TASKS[self.dataset.task].lesson(self.dataset, output, 0.0, ())

    @property
    def calibration(self) -> Split:
        """The training examples that calibration looks at."""
        from models.calibration import calibrating  # torch takes seconds to import

        return calibrating.draw(self.dataset.train, self.network)

    def calibration_report(self) -> dict[str, Any]:
        """Return what calibration used, as plain data."""
        return {
            "images": len(self.calibration),
            "part": "train, drawn at random",
            "scales": "least squared error",
            "biases": "corrected by the mean error",
            "channels": "equalised between layers if that brings the outputs clearly nearer",
        }

    def average_bits(self, quantisation: Quantisation) -> float:
        """Return the mean bits of a weight."""
        from models.calibration import choice  # torch takes seconds to import

        return choice.average_bits(quantisation, choice.weight_counts(self.network))

    def design(self, quantisation: Quantisation, npu: NpuConfig, clock_mhz: float) -> Design:
        """Return the design of the network with bits on an NPU. Raises UserError, ModelError."""
        return Design(
            name=self.name,
            seed=SEED,
            dataset=self.spec,
            network=self.network.graph,
            quantisation=quantisation,
            npu=npu,
            clock_mhz=clock_mhz,
            input=self.input,
        )


def network_of(path: Path) -> NetworkFolder:
    """Read a network folder with a float network. Raises UserError for an integer one, FileError.

    ModelError for damaged files.
    """
    found = folder.load(path)
    if found.floating is None:
        raise UserError(
            f"{path} holds a quantised network, whose numbers are kept as they are; codesign build "
            "takes it, with --npu or --lut-budget"
        )
    imported.check_input(found.input)
    return found


def is_float(path: Path) -> bool:
    """Return True if a network folder holds a float network. Raises FileError, ModelError."""
    return folder.load(path).floating is not None


def graph_of(found: NetworkFolder) -> NetworkGraph:
    """Return the graph of the designs of a float network, whatever its data set."""
    assert found.floating is not None
    return inputs.fit(found.floating, PIXELS).network.graph


def prepare(
    found: NetworkFolder,
    spec: DatasetSpec,
    data_dir: Path | None,
    input_bits: int = 8,
    progress: datasets.Progress | None = None,
    seed: int = SEED,
) -> Subject:
    """Return the network of a folder, made to take the input levels of a data set.

    data_dir, progress: as for datasets.load. seed: of the data split. Raises DatasetError,
    ModelError for data of another shape or other classes.
    """
    assert found.floating is not None
    imported.check_output(found, spec.task)
    dataset = pipeline.load_data(spec, data_dir, seed, progress)
    check_match(found.floating.graph, dataset)
    if dataset.task == RECONSTRUCTION:  # errors weigh alike in all channels, as in the file
        whole = answers.one_range(dataset.input_range)
        dataset = pipeline.load_data(spec, data_dir, seed, progress, whole)
    values, notes = dataset.input_range, []
    if dataset.task == CLASSES:
        notes = [f"the network's classes have no names: class 0 is {dataset.names[0]}, and so on"]
    if dataset.pictures:
        values = found.pixels or PIXELS
        notes += pixel_notes(found.pixels)
    else:
        notes += array_notes(found.pixels, values.is_pixels)
    fitted = inputs.fit(found.floating, imported.inside(found.input, values), input_bits)
    mapping = dataset.input_range
    if fitted.widened:
        mapping = imported.outside(found.input, fitted.values)
        if dataset.pictures:
            mapping = mapping.in_pixels(found.pixels or PIXELS)
        dataset = pipeline.load_data(spec, data_dir, seed, progress, mapping)
    network, offset = answers.fit(fitted.network, dataset)
    return Subject(
        found.name, network, fitted.zero_point, spec, dataset,
        None if mapping.is_pixels else mapping, (*notes, SEEN), offset,
    )  # fmt: skip


# Bits and scales -----------------------------------------------------------------------------


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
