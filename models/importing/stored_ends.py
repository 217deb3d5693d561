"""Both ends of a network as ``network.json`` of its folder has them; their orders lie beside it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.files.nodes import Node, build
from models.files.reading import FileError
from models.graph.layers import Shape
from models.importing.ends import InputEnd, OutputEnd
from models.importing.readers.foreign import Grid


def read(
    node: Node, orders: Mapping[str, NDArray[Any]], where: str
) -> tuple[InputEnd, tuple[OutputEnd, ...]]:
    """Return the ends that a folder's header says.

    orders: arrays ``input`` and ``output`` of the file ``where``, of those that lie otherwise than
    in the file. Raises YamlError, FileError.
    """
    first = build(node.at("input"), _InputFields)
    return (
        InputEnd(**_fields(first), order=_order(orders, "input", where)),
        _outputs(node, _order(orders, "output", where)),
    )


def check_input(node: Node, end: InputEnd, shape: Shape, bits: int | None) -> None:
    """Raise YamlError unless an input end fits the network's input. bits: None: a float network."""
    if end.shape != shape:
        raise node.at("shape").error(f"must be {list(shape)}, as the network has it")
    for name in ("gain", "offset"):
        if len(getattr(end, name)) != shape[0]:
            raise node.at(name).error(f"must be a list of {shape[0]}, one for each channel")
    said = end.grid.bits if end.grid else None
    if said != bits:
        need = "null of a float network" if bits is None else f"codes of {bits} bits"
        raise node.error(f"grid: must be {need}")
    if end.order is not None and end.order.size != math.prod(shape):
        raise node.error(f"order: order.npz must have {math.prod(shape)} positions")


def _outputs(node: Node, order: NDArray[np.int64] | None) -> tuple[OutputEnd, ...]:
    """Return the ends of all outputs, to which ``order`` says the positions in turn.

    Raises YamlError for none, and where there are more or fewer positions.
    """
    said = node.get("outputs")
    items = list(said.items()) if said else [node.at("output")]  # of folders of older versions
    ends = [OutputEnd(**_fields(build(item, _OutputFields))) for item in items]
    if len({end.part.name for end in ends}) < max(len(ends), 1):
        raise node.at("outputs").error("must be outputs of different names")
    if order is None:
        return tuple(ends)
    sizes = [end.part.size for end in ends]
    if len(ends) > 1 and sum(sizes) != order.size:
        raise node.at("outputs").error(f"order.npz must have {sum(sizes)} positions of outputs")
    orders = np.split(order, np.cumsum(sizes)[:-1]) if len(ends) > 1 else [order]
    return tuple(dataclasses.replace(end, order=own) for end, own in zip(ends, orders, strict=True))


@dataclasses.dataclass(frozen=True)
class _InputFields:
    name: str
    file_shape: tuple[int, ...]
    shape: tuple[int, int, int]
    gain: tuple[float, ...]
    offset: tuple[float, ...]
    grid: Grid | None = None


@dataclasses.dataclass(frozen=True)
class _OutputFields:
    name: str
    file_shape: tuple[int, ...]
    grid: Grid | None = None
    file_output: str = ""


def _fields(found: Any) -> dict[str, Any]:
    return {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}


def _order(orders: Mapping[str, NDArray[Any]], end: str, where: str) -> NDArray[np.int64] | None:
    """Return the order of an end's values: each once. Raises FileError."""
    order = orders.get(end)
    if order is None:
        return None
    if order.dtype.kind not in "iu" or order.ndim != 1:
        raise FileError(f"{where}: {end} is no list of positions")
    found = order.astype(np.int64)
    if end == "input" and not np.array_equal(np.sort(found), np.arange(found.size)):
        raise FileError(f"{where}: {end} does not hold each position once")
    if found.size and found.min() < 0:
        raise FileError(f"{where}: {end} holds a position below 0")
    return found


def check_outputs(node: Node, ends: Sequence[OutputEnd], size: int) -> None:
    """Raise YamlError unless the orders of a float network's outputs fit its last tensor.

    size: of that tensor, which an only output may be without an order.
    """
    orders = [end.order for end in ends]
    if len(orders) > 1 and any(order is None for order in orders):
        raise node.error("outputs: several need positions in order.npz")
    if any(order is not None and order.size and order.max() >= size for order in orders):
        raise node.error(f"outputs: a position in order.npz is beyond {size - 1}")


def items(end: InputEnd | OutputEnd) -> dict[str, Any]:
    """Return what a folder's header says of an end: all but the order."""
    return {name: value for name, value in dataclasses.asdict(end).items() if name != "order"}
