"""Trained weights from elsewhere: those that training goes on from, or learns the answers of."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from codesign import design as designs
from codesign.build import build_folder
from codesign.prediction import accumulator_of
from models.data.datasets import Dataset
from models.errors import ModelError
from models.files.reading import max_memory, read_bytes
from models.integer import files as network_files
from models.training.matching import check_match, check_task

if TYPE_CHECKING:
    from models.training.trained import TrainedNetwork

DESIGN = "design.yaml"


def read(path: Path) -> TrainedNetwork:
    """Return the weights of a file of ``codesign train``, or of a build folder.

    Raises YamlError, FileError or ModelError for files that are missing, damaged, of different
    networks or not enough.
    """
    from models.training.trained import TrainedNetwork  # torch takes seconds to import

    return _thawed(path) if path.is_dir() else TrainedNetwork.load(path)


def digest(path: Path) -> str:
    """Return the SHA-256, hexadecimal, of all that decides what ``read`` returns.

    Raises FileError where a file cannot be read.
    """
    files = (DESIGN, build_folder.NETWORK) if path.is_dir() else ("",)
    found = hashlib.sha256()
    for name in files:
        found.update(read_bytes(path / name if name else path, max_memory()))
    return found.hexdigest()


def told_of_teacher(path: Path, dataset: Dataset) -> str:
    """Return a sentence about a network whose answers trainings on ``dataset`` are to learn.

    Raises ModelError as ``read`` does, and for one of other inputs, outputs or task.
    """
    teacher = read(path)
    try:
        check_match(teacher.graph, dataset)
        check_task("it", teacher.task, dataset)
    except ModelError as error:
        raise ModelError(f"{path} cannot teach: {error}") from None
    accuracy = 100 * teacher.evaluate(dataset.validation)
    return (
        f"full trainings learn the answers of {path} beside the labels: {accuracy:.2f} % of the "
        "validation images are right, more than it deserves if it was trained on some of them"
    )


def _thawed(folder: Path) -> TrainedNetwork:
    """Return the integers of a build folder as weights that training can go on from.

    folder: its design file and ``network.npz``. Raises as ``read`` does (models.integer.thaw).
    """
    from models.integer.thaw import thaw  # torch takes seconds to import
    from models.training.trained import TrainedNetwork

    design = designs.load(folder / DESIGN)
    integers = network_files.load(folder / build_folder.NETWORK)
    given = design.quantisation, design.npu.scale_bits, accumulator_of(design)
    network = thaw(integers, design.network, *given)
    ends = design.dataset.task, integers.offset
    return TrainedNetwork(design.network, design.quantisation, network, (), *ends)
