"""Integer networks on disk: one .npz of arrays and a JSON header, without pickle."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.files import arrays, json_io
from models.files.nodes import Node, build, convert
from models.files.reading import FileError, MissingFile
from models.files.writing import atomic_file
from models.graph.layers import Pair
from models.integer import checks
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    Lookup,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from models.integer.parts import OutputPart
from models.quantisation.sparsity import Sparsity

FORMAT = 3
_READ = (1, 2, FORMAT)
_ORDER, _LOOKUP, _THRESHOLDS = "order", "lookup", "thresholds"
_ARRAYS = {"bias": "bias", "requant_multiplier": "multiplier", "requant_shift": "shift"}
"""Name of an array in the file, behind the layer's index and a dot, by its MacLayer field."""


def save(network: IntegerNetwork, path: Path) -> None:
    """Write ``network`` to ``path`` (.npz); it appears whole or not at all. Raises OSError.

    ``blank`` is not stored: ``load`` takes the weights for known ones.
    """
    with atomic_file(path) as file:
        np.savez_compressed(file, **contents(network))  # type: ignore[arg-type]


def contents(network: IntegerNetwork) -> dict[str, NDArray[Any]]:
    """Return the arrays of the network's file by name; ``header`` is JSON text.

    The others are ``i.weightsj`` (layer i, source j), ``i.bias``, ``i.multiplier`` and ``i.shift``,
    counted from 0, ``i.lookup`` of layers that have a table, ``i.thresholds`` of those that have
    learned ones, and ``order`` where outputs lie in an order of their own.
    """
    found: dict[str, NDArray[Any]] = {}
    layers = []
    for index, layer in enumerate(network.layers):
        header = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
        if isinstance(layer, MacLayer):
            for field, name in _ARRAYS.items():
                found[f"{index}.{name}"] = header.pop(field)
            for position, source in enumerate(layer.sources):
                found[f"{index}.weights{position}"] = source.weights
            header["sources"] = [source.tensor for source in layer.sources]
            header["pool"] = dataclasses.asdict(layer.pool) if layer.pool else None
            thresholds = header.pop(_THRESHOLDS)
            if thresholds is not None:
                found[f"{index}.{_THRESHOLDS}"] = thresholds
            lookup = header.pop("lookup")
            if lookup:
                found[f"{index}.{_LOOKUP}"] = lookup.codes
                header[_LOOKUP] = {"bits": lookup.bits, "zero_point": lookup.zero_point}
            sparsity = header.pop("sparsity")
            if sparsity:  # absent for dense networks; _layer reads that as None
                header["sparsity"] = str(sparsity)
        layers.append(header)
    header = {
        "format": FORMAT,
        "name": network.name,
        "input": network.input,
        "scale_bits": network.scale_bits,
        "tensors": [dataclasses.asdict(spec) for spec in network.tensors.values()],
        "layers": layers,
    }
    if network.parts:
        header["parts"] = [dataclasses.asdict(part) for part in network.parts]
    if network.offset:
        header["offset"] = list(network.offset)
    if network.order is not None:
        found[_ORDER] = network.order
    return {"header": np.array(json.dumps(header)), **found}


def load(path: Path) -> IntegerNetwork:
    """Read a file that ``save`` wrote. Raises ModelError naming any other file."""
    try:
        found = arrays.read_npz(path)
        header = json_io.loads(str(found.get("header", "")), f"{path}: header")
        version = header.at("format").integer()
        network = _network(header, found) if version in _READ else None
        if network is not None:
            checks.check(network)
    except MissingFile:
        raise ModelError(f"{path}: no such integer network file") from None
    except (FileError, ModelError) as error:
        raise ModelError(f"{path}: is not an integer network file ({error})") from None
    if network is None:
        known = ", ".join(map(str, _READ))
        raise ModelError(f"{path}: has format {version}, this version reads {known}")
    return network


def _network(header: Node, found: Mapping[str, Any]) -> IntegerNetwork:
    said = header.get("parts")  # of networks of several outputs, or of none that are classes
    offset = header.get("offset")
    tensors = [build(item, TensorSpec) for item in header.at("tensors").items()]
    layers = tuple(_layer(i, item, found) for i, item in enumerate(header.at("layers").items()))
    return IntegerNetwork(
        header.at("name").string(),
        header.at("input").string(),
        layers,
        {spec.name: spec for spec in tensors},
        header.at("scale_bits").integer(1, 32),
        order=found.get(_ORDER),
        parts=tuple(build(item, OutputPart) for item in said.items()) if said else (),
        offset=tuple(item.number() for item in offset.items()) if offset else (),
    )


def _layer(index: int, item: Node, found: Mapping[str, Any]) -> MacLayer | ConcatLayer:
    if item.get("sources") is None:
        return build(item, ConcatLayer)

    def array(name: str) -> NDArray[Any]:
        if f"{index}.{name}" not in found:
            raise item.error(f"array {index}.{name} is missing")
        return found[f"{index}.{name}"]

    pool, sparsity, dilation = (item.get(key) for key in ("pool", "sparsity", "dilation"))
    said = item.get(_LOOKUP)
    lookup = None
    if said:
        bits, zero = said.at("bits").integer(1, 8), said.at("zero_point").integer(0, 255)
        lookup = Lookup(array(_LOOKUP), bits, zero)
    return MacLayer(
        item.at("name").string(),
        item.at("op").string(),
        tuple(
            Source(tensor.string(), array(f"weights{position}"))
            for position, tensor in enumerate(item.at("sources").items())
        ),
        item.at("output").string(),
        item.at("groups").integer(1),
        convert(item.at("stride"), Pair),
        convert(item.at("padding"), Pair),
        item.at("pad_code").integer(0, 255),
        item.at("weight_bits").integer(1, 32),
        pool=build(pool, PoolWindow) if pool else None,
        raw=item.at("raw").boolean(),
        dilation=convert(dilation, Pair) if dilation else (1, 1),
        sparsity=convert(sparsity, Sparsity) if sparsity else None,
        lookup=lookup,
        thresholds=found.get(f"{index}.{_THRESHOLDS}"),
        **{field: array(name) for field, name in _ARRAYS.items()},
    )
