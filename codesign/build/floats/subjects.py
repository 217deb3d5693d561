"""Float networks of others, made to take the input levels of a data set."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.build import imported, pipeline
from codesign.design import DatasetSpec, Design
from codesign.results import UserError
from models.calibration import answers, inputs
from models.calibration.joint import JointOutputs
from models.data import datasets
from models.data.datasets import Dataset, Split
from models.data.targets import CLASSES, PIXELS, RECONSTRUCTION
from models.data.values import PIXELS as PIXEL_VALUES
from models.data.values import InputRange
from models.files.reading import quoted
from models.graph.network import NetworkGraph
from models.importing import folder
from models.importing.ends import array_notes, pixel_notes
from models.importing.floating import FloatNetwork
from models.importing.folder import NetworkFolder
from models.quantisation.plan import Quantisation
from models.tasks.kinds import TASKS
from models.training.matching import check_match
from rtl_gen.config import NpuConfig

if TYPE_CHECKING:
    from models.tasks.lessons import Lesson

SEED = 0
"""Seed of the design: of the data split and of training."""
SEEN = (
    "the file's network may have been trained on images that are validation here, which flatters "
    "validation accuracy; test images count"
)


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
    pixels: InputRange | None = None
    """The data's numbers that pixels 0 and 255 of pictures are; None: 0 and 255."""
    own: JointOutputs | None = None
    """Where the network's own answers are what it is calibrated towards, of which the data has
    none: what its outputs are."""

    @property
    def lesson(self) -> Lesson:
        """Targets and loss that training takes from the data, or how far outputs are apart."""
        if self.own:
            return self.own.lesson
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
            pixels=self.pixels,
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
    return inputs.fit(found.floating, PIXEL_VALUES).network.graph


@dataclass(frozen=True, eq=False)
class Taken:
    """A float network that takes the input levels of a data set. Made by ``taking``."""

    network: FloatNetwork
    zero_point: int
    """Code of the input that is the network's value 0."""
    dataset: Dataset
    mapping: InputRange
    """The data's numbers that become input level 0 and 255."""
    values: InputRange
    """The values of the file's input that they are."""
    notes: tuple[str, ...]


def taking(
    found: NetworkFolder, dataset: Dataset, read: Callable[[InputRange], Dataset], input_bits: int
) -> Taken:
    """Return the network of a folder for codes of ``input_bits`` bits that the data becomes.

    read: returns the data set with another mapping from its numbers to levels. Raises as
    ``inputs.fit`` does.
    """
    assert found.floating is not None
    values, notes = dataset.input_range, []
    if dataset.pictures:
        values = found.pixels or PIXEL_VALUES
        notes += pixel_notes(found.pixels)
    else:
        notes += array_notes(found.pixels, values.is_pixels)
    fitted = inputs.fit(found.floating, imported.inside(found.input, values), input_bits)
    mapping = dataset.input_range
    if fitted.widened:
        mapping = values = imported.outside(found.input, fitted.values)
        if dataset.pictures:
            mapping = mapping.in_pixels(found.pixels or PIXEL_VALUES)
        dataset = read(mapping)
    return Taken(fitted.network, fitted.zero_point, dataset, mapping, values, tuple(notes))


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
    ModelError for data of another shape or other classes, UserError as ``check_output`` does.
    """
    assert found.floating is not None
    check_output(found, spec.task)
    read = functools.partial(pipeline.load_data, spec, data_dir, seed, progress)
    dataset = read()
    check_match(found.floating.graph, dataset)
    if dataset.task == RECONSTRUCTION:  # errors weigh alike in all channels, as in the file
        dataset = read(answers.one_range(dataset.input_range))
    taken, notes = taking(found, dataset, read, input_bits), []
    if dataset.task == CLASSES:
        notes = [f"the network's classes have no names: class 0 is {dataset.names[0]}, and so on"]
    network, offset = answers.fit(taken.network, taken.dataset)
    return Subject(
        found.name, network, taken.zero_point, spec, taken.dataset,
        None if taken.mapping.is_pixels else taken.mapping, (*notes, *taken.notes, SEEN), offset,
        None if taken.dataset.pictures else found.pixels,
    )  # fmt: skip


def check_output(found: NetworkFolder, task: str = CLASSES) -> None:
    """Raise UserError for several outputs, and for one that lies otherwise than a task has it.

    Maps may lie channels last, as an input that they are again may.
    """
    if len(found.outputs) > 1:
        names = ", ".join(quoted(end.part.name) for end in found.outputs)
        raise UserError(
            f"network {found.name} has several outputs ({names}), and a data set has one answer "
            "for each image: codesign build takes such a network, and codesign evaluate --output "
            "NAME tells how good one of them is"
        )
    end, last = found.output, np.arange(np.prod(found.input.shape))
    order = np.arange(len(last)) if end.order is None else end.order
    first = last if found.input.order is None else found.input.order
    if task == RECONSTRUCTION:
        if len(order) == len(first) and not np.array_equal(order[first], last):
            raise UserError(
                f"output {end.name}: its values lie otherwise than those of the input, so it is "
                "not compared with it; codesign evaluate --task measures the folder"
            )
        return
    if task == PIXELS and end.order is not None:
        sides = end.file_shape[1:]
        if len(sides) == 3:
            rows, columns, channels = sides
            maps = np.arange(end.order.size).reshape(channels, rows, columns)
            if np.array_equal(end.order, maps.transpose(1, 2, 0).ravel()):
                return
    if end.order is not None:
        what = "no classes in their order" if task == CLASSES else "not what data has answers to"
        raise UserError(
            f"output {end.name}: its values lie otherwise than those of the last layer (in a finer "
            f"map, say), so they are {what}: codesign train and build do not take it; codesign "
            "evaluate --task takes maps and numbers"
        )
