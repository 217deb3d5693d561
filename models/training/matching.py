"""Networks and data sets that fit each other. Needs no torch."""

from __future__ import annotations

from models.data.datasets import Dataset
from models.errors import ModelError
from models.graph.network import NetworkGraph


def check_match(graph: NetworkGraph, dataset: Dataset) -> None:
    """Raise ModelError unless the network takes the data set's images and has its classes."""
    shape, (classes, rows, cols) = graph.shapes[graph.input.name], graph.shapes[graph.output.name]
    if shape != dataset.shape:
        raise ModelError(
            f"layer {graph.input.name}: shape {shape} does not match the images of "
            f"{dataset.name}, {dataset.shape}"
        )
    if (rows, cols) != (1, 1):
        raise ModelError(
            f"layer {graph.output.name}: the output map must be 1x1, not {rows}x{cols}, where the "
            f"data has a class for each image, as {dataset.name}; add a global_pool and a linear "
            "layer"
        )
    if classes != dataset.classes:
        raise ModelError(
            f"layer {graph.output.name}: has {classes} outputs, {dataset.name} has "
            f"{dataset.classes} classes"
        )
