"""Integer networks on disk: one .npz of arrays and a JSON header, without pickle."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.files.writing import atomic_file
from models.integer.network import (
    ConcatLayer,
    IntegerNetwork,
    MacLayer,
    PoolWindow,
    Source,
    TensorSpec,
)
from models.quantisation.sparsity import Sparsity

FORMAT = 1
_ARRAYS = {"bias": "bias", "requant_multiplier": "multiplier", "requant_shift": "shift"}
"""MacLayer field -> name of its array in the file."""


def save(network: IntegerNetwork, path: Path) -> None:
    """Write ``network`` to ``path`` (.npz); it appears whole or not at all. Raises OSError."""
    with atomic_file(path) as file:
        np.savez_compressed(file, **contents(network))  # type: ignore[arg-type]


def contents(network: IntegerNetwork) -> dict[str, NDArray[Any]]:
    """Return the arrays of the network's file by name; ``header`` is JSON text."""
    arrays: dict[str, NDArray[Any]] = {}
    layers = []
    for index, layer in enumerate(network.layers):
        header = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
        if isinstance(layer, MacLayer):
            for field, name in _ARRAYS.items():
                arrays[f"{index}.{name}"] = header.pop(field)
            for position, source in enumerate(layer.sources):
                arrays[f"{index}.weights{position}"] = source.weights
            header["sources"] = [source.tensor for source in layer.sources]
            header["pool"] = dataclasses.asdict(layer.pool) if layer.pool else None
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
    return {"header": np.array(json.dumps(header)), **arrays}


def load(path: Path) -> IntegerNetwork:
    """Read a file that ``save`` wrote. Raises ModelError naming any other file."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays["header"]))
        version = header["format"]
        network = _network(header, arrays) if version == FORMAT else None
    except FileNotFoundError:
        raise ModelError(f"{path}: no such integer network file") from None
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: is not an integer network file ({error})") from None
    if network is None:
        raise ModelError(f"{path}: has format {version}, this version reads {FORMAT}")
    return network


def _network(header: dict[str, Any], arrays: dict[str, Any]) -> IntegerNetwork:
    tensors = {
        item["name"]: TensorSpec(**{**item, "shape": tuple(item["shape"])})
        for item in header["tensors"]
    }
    layers = tuple(_layer(index, item, arrays) for index, item in enumerate(header["layers"]))
    return IntegerNetwork(
        header["name"], header["input"], layers, tensors, int(header["scale_bits"])
    )


def _layer(index: int, item: dict[str, Any], arrays: dict[str, Any]) -> MacLayer | ConcatLayer:
    if "sources" not in item:
        return ConcatLayer(item["name"], tuple(item["inputs"]), item["output"])
    sources = tuple(
        Source(tensor, arrays[f"{index}.weights{position}"])
        for position, tensor in enumerate(item["sources"])
    )
    pool = item["pool"] and PoolWindow(tuple(item["pool"]["kernel"]), tuple(item["pool"]["stride"]))
    changed = {
        "sources": sources,
        "stride": tuple(item["stride"]),
        "padding": tuple(item["padding"]),
        "pool": pool,
        "sparsity": Sparsity.parse(item["sparsity"]) if "sparsity" in item else None,
        **{field: arrays[f"{index}.{name}"] for field, name in _ARRAYS.items()},
    }
    return MacLayer(**{**item, **changed})
