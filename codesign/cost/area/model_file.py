"""Fitted area models on disk, as JSON with plain numbers: reading a file never runs code."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codesign.cost.area.blocks import RESOURCES
from codesign.cost.area.composed import SHAPE_NAMES, SIZE_NAMES, ComposedModel
from codesign.cost.area.model import AreaModel, Calibration, Learned
from codesign.cost.data import dataset, module_data
from codesign.cost.domain import NUMBERS, OPTIONS, Domain
from codesign.cost.regressors import ProcessRegressor
from codesign.results import UserError
from codesign.tools import processes
from models.files import forms
from models.files.reading import printable, quoted, read_bytes, read_json, told_as
from models.files.writing import atomic_file

FORMAT = "codesign area model 1"
LARGEST = 1e15
"""Largest magnitude of a number in a model; those of the shipped one are below 1e6."""
LEAST_FACTOR = 1e-3
"""Smallest factor between two flows; its inverse is the largest."""
_CACHE = "area-model"
_ARRAYS = ("centre_", "spread_", "points_", "weights_", "known_")
_NUMBERS = ("level_", "scale_", "length_", "noise_")
_FORM = {
    "rows": range(1, 1 << 32),
    "domain": {"ranges": {str: [range(1, 1 << 40)]}, "options": {str: [(int, str)]}},
    "resources": {
        name: {
            "factors": list, "errors": list,
            "correction": dict.fromkeys(_ARRAYS, list) | dict.fromkeys(_NUMBERS, float),
        }
        for name in RESOURCES
    },
    "flow": {str: {"factor": float, "deviation": float, "points": range(1 << 32)}},
}  # fmt: skip


@functools.lru_cache(maxsize=4)
def load(path: Path = dataset.SHIPPED) -> AreaModel:
    """Return ``of_data(path)``, kept for the last four files: their later changes are not seen."""
    return of_data(path)


def of_data(path: Path) -> AreaModel:
    """Return the area model of a data set file, from the user's cache or fitted and cached there.

    The cache key covers the data and the source of codesign.cost; a cache that cannot be written is
    ignored. Raises UserError for a bad data set or a damaged cached model, ValueError as
    AreaModel.fit.
    """
    modules = module_data.beside(path)
    with told_as(UserError):
        text = read_bytes(path) + (read_bytes(modules) if modules.exists() else b"")
    code = "".join(file.read_text() for file in sorted(Path(__file__).parents[1].rglob("*.py")))
    key = processes.content_hash([hashlib.sha256(text).hexdigest(), code])
    kept = processes.cached(_CACHE, key)
    if kept is not None:
        return from_dict(kept, "the cached area model")
    rows = module_data.read(modules) if modules.exists() else []
    model = AreaModel.fit(dataset.read(path), rows)
    processes.keep(_CACHE, key, to_dict(model))
    return model


def to_dict(model: AreaModel) -> dict[str, Any]:
    """Return the JSON form of a model, which ``from_dict`` reads.

    Keys: "format", "rows", "columns" (features by block), "domain", "resources" (fitted models by
    resource), "flow" (calibrations by resource).
    """
    return {
        "format": FORMAT,
        "rows": model.rows,
        "columns": {name: list(sizes) for name, sizes in SIZE_NAMES.items()},
        "domain": {"ranges": model.domain.ranges, "options": model.domain.options},
        "resources": {name: _resource(learned) for name, learned in model.learned.items()},
        "flow": {name: dataclasses.asdict(flow) for name, flow in model.flow.items()},
    }


def _resource(learned: Learned) -> dict[str, Any]:
    process = learned.model.correction
    return {
        "factors": learned.model.factors.tolist(),
        "errors": learned.errors.tolist(),
        "correction": {name: getattr(process, name).tolist() for name in _ARRAYS}
        | {name: float(getattr(process, name)) for name in _NUMBERS},
    }


def from_dict(data: Mapping[str, Any], where: str) -> AreaModel:
    """Return the model of a JSON form made by ``to_dict``.

    Raises UserError, with a message that starts with ``where``, for another format, another version
    or missing or damaged values.
    """
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise UserError(f"{where}: not an area model of this version (format {FORMAT!r})")
    if data.get("columns") != {name: list(sizes) for name, sizes in SIZE_NAMES.items()}:
        raise UserError(f"{where}: its blocks are not those of this version; fit the model again")
    with told_as(UserError):
        forms.conform(data, _FORM, where)
    try:
        domain = _domain(data["domain"])
        learned = {name: _learned(data["resources"][name], name) for name in RESOURCES}
        unknown = data["flow"].keys() - set(RESOURCES)
        if unknown:
            raise ValueError(f"flow: {quoted(min(unknown))} is none of {', '.join(RESOURCES)}")
        flow = {name: Calibration(**one) for name, one in data["flow"].items()}
        for name, one in flow.items():
            if not (LEAST_FACTOR <= one.factor <= 1 / LEAST_FACTOR and 0 <= one.deviation <= 10):
                raise ValueError(f"flow.{name}: a factor or deviation out of range")
        return AreaModel(learned, domain, data["rows"], flow)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: damaged: {printable(error, 200)}") from None


def _domain(data: Mapping[str, Any]) -> Domain:
    """Return the domain of training data. Raises ValueError for other parameters or values."""
    for part, names in (("ranges", NUMBERS), ("options", tuple(OPTIONS))):
        if data[part].keys() != set(names):
            raise ValueError(f"domain.{part}: must be {', '.join(names)}")
    for name, ends in data["ranges"].items():
        if len(ends) != 2 or ends[0] > ends[1]:
            raise ValueError(f"domain.ranges.{name}: must be the smallest and the largest value")
    for name, values in data["options"].items():
        words = OPTIONS[name]
        if not all(value in words if words else type(value) is int for value in values):
            raise ValueError(f"domain.options.{name}: a value that it cannot have")
    return Domain(
        {name: (low, high) for name, (low, high) in data["ranges"].items()},
        {name: tuple(values) for name, values in data["options"].items()},
    )


def _learned(data: Mapping[str, Any], resource: str) -> Learned:
    """Return the model of one resource. Raises ValueError for arrays that do not fit together."""
    process = ProcessRegressor()
    parts = data["correction"]
    for name in _ARRAYS:
        setattr(process, name, _numbers(parts[name], f"{resource}: {name}"))
    for name in _NUMBERS:
        setattr(process, name, float(_numbers(parts[name], f"{resource}: {name}")))
    if process.points_.ndim != 2:
        raise ValueError(f"{resource}: points_ must be a list of lists of one length")
    count, dimensions = process.points_.shape
    shapes = {
        "known_": (count, count), "weights_": (count,), "centre_": (dimensions,),
        "spread_": (dimensions,),
    }  # fmt: skip
    wrong = [name for name, shape in shapes.items() if getattr(process, name).shape != shape]
    if wrong or dimensions != len(SHAPE_NAMES):
        raise ValueError(f"{resource}: {wrong[0] if wrong else 'points_'} has another length")
    low = min(process.spread_.min(), process.length_, process.scale_)
    if low <= 0 or process.noise_ < 0:
        raise ValueError(f"{resource}: spreads, length and scale must be > 0, noise >= 0")
    process.n_features_in_ = dimensions
    factors = _numbers(data["factors"], f"{resource}: factors")
    if factors.shape != (sum(map(len, SIZE_NAMES.values())),) or factors.min() < 0:
        raise ValueError(f"{resource}: {len(factors)} factors, or one below 0")
    errors = _numbers(data["errors"], f"{resource}: errors")
    if errors.ndim != 1 or not len(errors):
        raise ValueError(f"{resource}: errors must be a list of numbers")
    return Learned(ComposedModel(factors, process), np.sort(errors))


def _numbers(value: Any, where: str) -> np.ndarray:
    found = np.array(value, dtype=np.float64)
    if not found.size or not (np.abs(found) <= LARGEST).all():  # NaN is not <= anything
        raise ValueError(f"{where}: a number that is not finite, or beyond {LARGEST:g}")
    return found


def write(path: Path, model: AreaModel) -> None:
    """Write a model to ``path``, replacing the file atomically. Raises OSError."""
    with atomic_file(path) as file:
        file.write(json.dumps(to_dict(model)).encode())


def read(path: Path) -> AreaModel:
    """Read a model file. Raises UserError that names a file that cannot be read or is not one."""
    with told_as(UserError):
        return from_dict(read_json(path), str(path))
