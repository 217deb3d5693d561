"""Outputs that are no classes of the whole: what ``evaluate --task`` measures of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build import imported
from codesign.build.built import of_network
from codesign.cli.console import Console
from codesign.design import DatasetSpec
from codesign.results import UserError
from models.data import targets
from models.data.layout import Layout
from models.data.targets import Targets
from models.errors import DatasetError
from models.importing import folder
from models.importing.folder import NetworkFolder
from models.integer import measures, reference

TASKS = ("classes", "pixels", "numbers", "reconstruction")
"""What the outputs of a network can be: a class of the whole or of each pixel, numbers, its input
again."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures of outputs that are no classes of the whole. Made by ``measured``.

    task: one of TASKS. measures: by name, as of ``models.integer.measures``.
    """

    task: str
    examples: int
    measures: dict[str, Any]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: task, examples, measures, notes."""
        return {**vars(self), "notes": list(self.notes)}


def measured(path: Path, spec: DatasetSpec, task: str, data_dir: Path | None = None) -> Measured:
    """Run the network of a network folder on an .npz whose answers are those of a task.

    task: one of TASKS but classes. Raises UserError where the network's outputs or the answers are
    not of that kind; DatasetError, FileError, ModelError.
    """
    if not imported.is_network(path):
        raise UserError(
            f"--task {task}: {path} is no network folder; evaluate that which codesign import "
            "wrote, whose integers a build has, too"
        )
    if Path(spec.name).suffix.casefold() != ".npz":
        raise UserError(f"--task {task}: --dataset must be an .npz file, not {spec.name}")
    found = folder.load(path)
    for row in folder.table(path).of("host"):
        if not row.layer and task != "pixels":
            raise UserError(
                f"--task {task}: {row.name} ({row.operator}) is left to the host, so the network's "
                "outputs are not those of the file; import the file without it"
            )
    data = targets.npz((data_dir or Path()) / spec.name, Layout(spec.layout))
    if data.values.shape[1:] != found.input.shape:
        raise DatasetError(
            f"{spec.name}: examples have the shape {data.values.shape[1:]} (channels, rows, "
            f"columns), the network takes {found.input.shape}"
        )
    outputs, notes = _outputs(found, data)
    judge = {"pixels": _pixels, "numbers": _regression, "reconstruction": _reconstruction}[task]
    result, said = judge(found, outputs, data)
    return Measured(task, len(outputs), result, (*data.notes, *notes, *said))


def show(found: Measured, console: Console) -> None:
    """Print measures, one a line, and all notes."""
    for name, value in found.measures.items():
        console.say(f"{name}: {_told(value)}")
    for note in found.notes:
        console.say(f"note: {note}")


def _told(value: Any) -> str:
    """Return a measure in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return "none" if value is None else f"{value:.6g}"


def _outputs(found: NetworkFolder, data: Targets) -> tuple[NDArray[np.float64], list[str]]:
    """Return the file's outputs (n, outputs) as real values in its order, and notes."""
    if found.integer is not None:
        network = of_network(found, found.integer)
        mapping, notes = network.mapping(data.values, pictures=False)
        levels = mapping.levels(data.values)
        notes += mapping.doubts(data.values, "the data set")
        return found.integer.real(reference.predict(found.integer, levels)), notes
    from models.calibration import loading  # torch takes seconds to import

    assert found.floating is not None
    imported.check_input(found.input)
    gain, offset = np.array(found.input.gain), np.array(found.input.offset)
    outputs = loading.outputs(found.floating, data.values, gain, offset)
    order = found.output.order
    return outputs if order is None else outputs[:, order], ["the network is in floating point"]


def _pixels(
    found: NetworkFolder, outputs: NDArray[np.float64], data: Targets
) -> tuple[dict[str, Any], list[str]]:
    shape, labels = found.output.file_shape[1:], data.answers
    if labels is None or labels.dtype.kind not in "iub":
        raise UserError(
            "--task pixels: y must hold a class number for each pixel, (n, rows, columns)"
        )
    sides = labels.shape[1:]
    axes = [
        axis for axis in (0, -1) if len(shape) == 3 and np.delete(shape, axis).tolist() == [*sides]
    ]
    if len(axes) != 1 or shape[axes[0]] < 2:
        raise UserError(
            f"--task pixels: labels of {sides} for an output of {shape}, which must be those rows "
            "and columns, and two classes or more before or behind them"
        )
    maps = np.moveaxis(outputs.reshape(-1, *shape), -1 if axes[0] else 1, 1)
    numbers, classes = labels.astype(np.int64), shape[axes[0]]
    wrong = (numbers < 0) | ((numbers >= classes) & (numbers != measures.LEFT_OUT))
    if wrong.any():
        raise DatasetError(f"label {numbers[wrong][0]} is outside 0..{classes - 1}")
    left = int((numbers == measures.LEFT_OUT).sum()) if classes <= measures.LEFT_OUT else 0
    said = [f"{left} pixels of label {measures.LEFT_OUT} are left out"] if left else []
    return measures.pixels(maps, numbers), said


def _regression(
    found: NetworkFolder, outputs: NDArray[np.float64], data: Targets
) -> tuple[dict[str, Any], list[str]]:
    answers, shape = data.answers, found.output.file_shape
    if answers is None or answers.dtype.kind not in "biuf":
        raise UserError("--task numbers: y must hold numbers")
    sides = [[side for side in each if side != 1] for each in (answers.shape[1:], shape[1:])]
    if sides[0] != sides[1]:
        raise UserError(
            f"--task numbers: y holds {answers.shape[1:]} numbers for an output of {shape[1:]}"
        )
    return measures.regression(outputs, answers.reshape(len(answers), -1).astype(float)), []


def _reconstruction(
    found: NetworkFolder, outputs: NDArray[np.float64], data: Targets
) -> tuple[dict[str, Any], list[str]]:
    first, last, answers = found.input, found.output, data.answers
    if first.file_shape[1:] != last.file_shape[1:]:
        raise UserError(
            f"--task reconstruction: an output of {last.file_shape[1:]} is not the input, "
            f"{first.file_shape[1:]}, again"
        )
    values = data.values if first.order is None else data.values.transpose(0, 2, 3, 1)
    missed = measures.errors(outputs, values.reshape(len(values), -1).astype(float))
    result: dict[str, Any] = {"mean_squared_error": float(missed.mean())}
    if answers is None:
        return result, ["the data have no y: without normal and anomalous ones there is no area"]
    names = np.unique(answers)
    if answers.size != len(missed) or len(names) != 2:
        raise UserError(
            "--task reconstruction: y must have two classes, normal before anomalous, one for each "
            f"example; it has the shape {answers.shape} and {len(names)} values (leave it out for "
            "the error alone)"
        )
    area = measures.roc_area(missed, answers.ravel() == names[1])
    result["roc_area"] = area.to_dict()
    return result, [f"{names[1]} counts as anomalous, {names[0]} as normal"]
