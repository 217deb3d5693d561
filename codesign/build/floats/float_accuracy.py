"""Accuracy of float networks, alone and beside what became of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codesign.build import npu_file, other_data
from codesign.build.built import BuiltNetwork, numbered
from codesign.build.evaluation import PARTS, Evaluation
from codesign.build.floats.subjects import Subject, check_output
from codesign.design import DatasetSpec
from models.data.datasets import Progress
from models.data.values import PIXEL_HIGH, PIXELS, are_pixels
from models.importing.ends import array_notes, joined_order, pixel_notes
from models.importing.folder import NetworkFolder
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation
from models.tasks.kinds import TASKS, Result
from models.tasks.scores import Scores

ROUNDED = (
    "the accuracy called float is that of inputs rounded to codes, as for the others; codesign "
    "evaluate of the network folder takes them unrounded"
)


@dataclass(frozen=True, eq=False)
class Stage:
    """Accuracy or measures by part at one stage: ``float``, ``calibrated`` or ``finetuned``.

    Made by ``of_float``, and of what ``evaluation.judged`` returns by the command line.
    """

    name: str
    parts: Mapping[str, Result]

    def to_dict(self) -> dict[str, Any]:
        """Return by part share, images, low and high of the accuracy, or measures by name."""
        return {part: found.to_dict() for part, found in self.parts.items()}


def rows(stages: Sequence[Stage]) -> list[tuple[str, ...]]:
    """Return a row for each stage: its name, and how good it is on each of PARTS in words."""
    return [(stage.name, *(stage.parts[part].describe() for part in PARTS)) for stage in stages]


def of_float(subject: Subject, quantisation: Quantisation) -> Stage:
    """Evaluate a float network on the validation and the test part of its data set.

    Its input is rounded to the codes of the ``quantisation``.
    """
    from models.calibration import loading  # torch takes seconds to import
    from models.training.trained import TrainedNetwork

    network, data = loading.load(subject.network, quantisation), subject.dataset
    ends = data.task, subject.offset
    given = TrainedNetwork(subject.network.graph, quantisation, network, (), *ends)
    splits = {part: getattr(data, part) for part in PARTS}
    return Stage(
        "float",
        {
            part: TASKS[data.task].judge(given.outputs(split.images), split)
            for part, split in splits.items()
        },
    )


def evaluate(
    found: NetworkFolder,
    spec: DatasetSpec,
    data_dir: Path | None,
    progress: Progress | None = None,
    output: str | None = None,
) -> Evaluation:
    """Run the float network of a folder on a data set, whose values it takes unrounded.

    output: the one of several outputs that is the class. Other arguments and errors: as for
    other_data.load; ModelError for an output that it has not.
    """
    from models.calibration import loading  # torch takes seconds to import

    assert found.floating is not None
    blank = shape_only(found.floating.graph, Quantisation(), 8)
    if output is None:
        check_output(found)
    else:
        parts = tuple(end.part for end in found.outputs) if len(found.outputs) > 1 else ()
        blank = dataclasses.replace(blank, order=joined_order(found.outputs), parts=parts)
        blank = blank.only(output)
    classes = numbered(blank)
    network = BuiltNetwork(blank, classes, PIXELS, None, npu_file.CLOCK_MHZ, found.pixels)
    data = other_data.given(network, spec, data_dir, progress)
    channels = blank.tensors[blank.input].shape[0]
    gain, offset = np.array(found.input.gain), np.array(found.input.offset)
    assumed = array_notes(found.pixels, are_pixels(data.part.values))
    if data.pictures:
        pixels = found.pixels or PIXELS
        low, high = (np.broadcast_to(np.array(end), channels) for end in (pixels.low, pixels.high))
        gain, offset = gain * (high - low) / PIXEL_HIGH, gain * low + offset
        assumed = pixel_notes(found.pixels)
    answers = loading.answers(found.floating, data.part.values, gain, offset, blank.order)
    scores = Scores.of(answers, data.part.labels, len(classes))
    notes = (*data.notes, *assumed, "the network is in floating point")
    return other_data.judged(scores, classes, notes, whole=data.whole)
