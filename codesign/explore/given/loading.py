"""Reads the network that a search starts from, and holds it against the data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codesign.build import imported
from codesign.results import UserError
from models.calibration.inputs import FittedNetwork, fit
from models.data.datasets import Dataset
from models.data.values import InputRange
from models.errors import DatasetError
from models.graph.yaml import graph_items
from models.importing import folder
from models.importing.ends import InputEnd
from models.importing.floating import FloatNetwork


@dataclass(frozen=True, eq=False)
class GivenNetwork:
    """A float network with weights, for inputs of each number of bits. Made by ``load``."""

    name: str
    fitted: Mapping[int, FittedNetwork]
    sha256: str
    """Hash of graph and weights."""

    @property
    def widest(self) -> FittedNetwork:
        """The network for the widest input."""
        return self.fitted[max(self.fitted)]


def load(path: Path, dataset: Dataset, input_bits: Sequence[int]) -> GivenNetwork:
    """Read a network folder that ``codesign import`` made of a file of real numbers.

    input_bits: widths of inputs to make it for; only the widest where the input's code of 0 is not
    the lowest, as that of narrower ones would be another value.

    Raises UserError for anything else, such as an integer network, whose bits are fixed;
    DatasetError for images or classes that the network does not have; FileError, ModelError.
    """
    if not (path / folder.NETWORK).is_file():
        raise UserError(
            f"{path} is not a network folder; codesign import FILE --out DIR writes one"
        )
    found = folder.load(path)
    if found.floating is None:
        raise UserError(
            f"{path} holds an integer network, whose bits are fixed: codesign build {path} "
            "--lut-budget N finds the NPU for it; import a float file to have bits searched"
        )
    imported.check_order(found.input)
    if found.output.order is not None:
        raise UserError(f"{path}: the output's values lie otherwise than those of its last layer")
    _check(path, found.floating, dataset)
    values = _values(found.input, dataset.input_range)
    fitted = {bits: fit(found.floating, values, bits) for bits in input_bits}
    if any(one.zero_point for one in fitted.values()):
        fitted = {max(fitted): fitted[max(fitted)]}
    return GivenNetwork(found.name, fitted, _sha256(found.floating))


def _values(end: InputEnd, data: InputRange) -> InputRange:
    """Return what the network reads of values of the data: after the file's own scaling of them.

    Raises UserError where that turns values round.
    """
    if min(end.gain) <= 0:
        raise UserError(f"input {end.name}: the file negates its values; leave that out")
    count = len(end.gain)
    low, high = (side * (count if len(side) == 1 else 1) for side in (data.low, data.high))
    pairs = list(zip(end.gain, end.offset, strict=True))
    scaled = [
        tuple(gain * value + offset for value, (gain, offset) in zip(side, pairs, strict=True))
        for side in (low, high)
    ]
    return InputRange(*scaled)


def _check(path: Path, network: FloatNetwork, dataset: Dataset) -> None:
    shapes, graph = network.graph.shapes, network.graph
    wanted, classes = shapes[graph.input.name], shapes[graph.output.name]
    if tuple(dataset.shape) != wanted:
        raise DatasetError(
            f"{dataset.name}: examples have the shape {tuple(dataset.shape)} (channels, rows, "
            f"columns), the network in {path} takes {wanted}"
        )
    if classes != (dataset.classes, 1, 1):
        raise DatasetError(
            f"{dataset.name} has {dataset.classes} classes, the network in {path} ends with "
            f"{classes} values (channels, rows, columns)"
        )


def _sha256(network: FloatNetwork) -> str:
    text = json.dumps([graph_items(network.graph), sorted(network.ceilings.items())], default=list)
    found = hashlib.sha256(text.encode())
    for name, values in sorted(network.weights.items()):
        found.update(name.encode() + values.tobytes())
    return found.hexdigest()
