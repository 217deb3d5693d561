"""Networks and data sets that fit each other. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.data.datasets import Dataset
from models.data.targets import PIXELS, RECONSTRUCTION
from models.errors import ModelError
from models.graph.network import NetworkGraph
from models.tasks.kinds import TASKS

if TYPE_CHECKING:
    from models.data.augmentation import Augmentation


def check_match(graph: NetworkGraph, dataset: Dataset) -> None:
    """Raise ModelError unless the network takes the data set's images and gives its answers.

    These are classes, or as the data's task has them.
    """
    check_input(graph, dataset)
    output = graph.output.name
    TASKS[dataset.task].check(output, graph.shapes[output], dataset)


def check_input(graph: NetworkGraph, dataset: Dataset) -> None:
    """Raise ModelError unless the network takes the data set's images."""
    shape = graph.shapes[graph.input.name]
    if shape != dataset.shape:
        raise ModelError(
            f"layer {graph.input.name}: shape {shape} does not match the images of "
            f"{dataset.name}, {dataset.shape}"
        )


def check_task(what: str, task: str, dataset: Dataset) -> None:
    """Raise ModelError unless a network was trained for the task of the data; what: names it."""
    if task != dataset.task:
        raise ModelError(f"{what} was trained for {task}, the data set is for {dataset.task}")


def check_changes(dataset: Dataset, augmentation: Augmentation, taught: bool) -> None:
    """Raise ModelError for changes of images that their answers would have to follow.

    taught: True if answers of a teacher are learned, which are computed once.
    """
    moved = augmentation.rows or augmentation.columns or augmentation.cutout
    if dataset.task == PIXELS and (moved or augmentation.mirror):
        raise ModelError("augment must be none for pixels: images would move under their labels")
    if dataset.task == RECONSTRUCTION and taught and moved:
        raise ModelError("augment must be none or mirror where a teacher's inputs are learned")
