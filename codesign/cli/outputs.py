"""Outputs that are no classes of the whole: what ``evaluate --task`` measures of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.build import imported
from codesign.build.built import of_network
from codesign.build.evaluation import TEST, Measured
from codesign.build.other_data import part_of
from codesign.cli.console import Console
from codesign.design import DatasetSpec
from codesign.results import UserError
from models.data import targets
from models.data.layout import Layout
from models.data.raw import Part
from models.data.targets import LEFT_OUT, NUMBERS, PIXELS, RECONSTRUCTION
from models.errors import DatasetError
from models.importing import folder
from models.importing.folder import NetworkFolder
from models.integer import reference
from models.tasks import measures
from models.tasks.measures import Measures


def measured(path: Path, spec: DatasetSpec, task: str, data_dir: Path | None = None) -> Measured:
    """Run the network of a network folder on an .npz whose answers are those of a task.

    task: one of targets.TASKS but classes. Raises UserError where the network's outputs are not of
    that kind; DatasetError, FileError, ModelError.
    """
    if not imported.is_network(path):
        raise UserError(
            f"--task {task}: {path} is no network folder; evaluate that which codesign import "
            "wrote, whose integers a build has, too"
        )
    if Path(spec.name).suffix.casefold() != ".npz":
        raise UserError(f"--task {task}: --dataset must be an .npz file, not {spec.name}")
    found = folder.load(path)
    check_host(path, task)
    raw = targets.npz((data_dir or Path()) / spec.name, task, Layout(spec.layout))
    data, said = part_of(raw)
    if data.values.shape[1:] != found.input.shape:
        raise DatasetError(
            f"{spec.name}: examples have the shape {data.values.shape[1:]} (channels, rows, "
            f"columns), the network takes {found.input.shape}"
        )
    outputs, notes = _outputs(found, data)
    judge = {PIXELS: _pixels, NUMBERS: _regression, RECONSTRUCTION: _reconstruction}[task]
    result = judge(found, outputs, data)
    measured = {TEST: Measures(len(outputs), result)}
    return Measured(task, measured, (*raw.notes, *said, *notes))


def check_host(path: Path, task: str) -> None:
    """Raise UserError if a network folder's host changes outputs that are judged by their values.

    task: one of targets.TASKS.
    """
    for row in folder.table(path).of("host"):
        if not row.layer and task in (NUMBERS, RECONSTRUCTION):
            raise UserError(
                f"--task {task}: {row.name} ({row.operator}) is left to the host, so the network's "
                "outputs are not those of the file; import the file without it"
            )


def test_json(found: Measured) -> dict[str, Any]:
    """Return the JSON form of what ``evaluate`` measured: task, examples, measures, notes."""
    one = found.parts[TEST]
    said = {"examples": one.examples, "measures": one.values, "notes": list(found.notes)}
    return {"task": found.task, **said}


def show(found: Measured, console: Console) -> None:
    """Print measures, one a line, by part if there are several, and all notes."""
    for part, measured in found.parts.items():
        of = f"{part} " if len(found.parts) > 1 else ""
        for name, value in measured.values.items():
            console.say(f"{of}{name}: {_told(value)}")
    for note in found.notes:
        console.say(f"note: {note}")


def _told(value: Any) -> str:
    """Return a measure in words."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_told, value))
    return "none" if value is None else f"{value:.6g}"


def _outputs(found: NetworkFolder, data: Part) -> tuple[NDArray[np.float64], list[str]]:
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


def _pixels(found: NetworkFolder, outputs: NDArray[np.float64], data: Part) -> dict[str, Any]:
    shape, labels = found.output.file_shape[1:], data.labels
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
    classes = shape[axes[0]]
    wrong = (labels >= classes) & (labels != LEFT_OUT)
    if wrong.any():
        raise DatasetError(f"label {labels[wrong][0]} is outside 0..{classes - 1}")
    return measures.pixels(maps, labels)


def _regression(found: NetworkFolder, outputs: NDArray[np.float64], data: Part) -> dict[str, Any]:
    answers, shape = data.labels, found.output.file_shape
    sides = [[side for side in each if side != 1] for each in (answers.shape[1:], shape[1:])]
    if sides[0] != sides[1]:
        raise UserError(
            f"--task numbers: y holds {answers.shape[1:]} numbers for an output of {shape[1:]}"
        )
    return measures.regression(outputs, answers.reshape(len(answers), -1))


def _reconstruction(
    found: NetworkFolder, outputs: NDArray[np.float64], data: Part
) -> dict[str, Any]:
    first, last = found.input, found.output
    if first.file_shape[1:] != last.file_shape[1:]:
        raise UserError(
            f"--task reconstruction: an output of {last.file_shape[1:]} is not the input, "
            f"{first.file_shape[1:]}, again"
        )
    values = data.values if first.order is None else data.values.transpose(0, 2, 3, 1)
    inputs = values.reshape(len(values), -1).astype(float)
    return measures.reconstruction(outputs, inputs, data.labels.astype(bool))
