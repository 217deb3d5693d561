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
from codesign.cost.area.composed import SIZE_NAMES, ComposedModel
from codesign.cost.area.model import AreaModel, Calibration, Learned
from codesign.cost.data import dataset, module_data
from codesign.cost.domain import Domain
from codesign.cost.regressors import ProcessRegressor
from codesign.results import UserError
from codesign.tools import processes
from models.files import atomic_file

FORMAT = "codesign area model 1"
_CACHE = "area-model"
_ARRAYS = ("centre_", "spread_", "points_", "weights_", "known_")
_NUMBERS = ("level_", "scale_", "length_", "noise_")


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
    try:
        text = path.read_bytes() + (modules.read_bytes() if modules.exists() else b"")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
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
    try:
        domain = Domain(
            {name: (int(low), int(high)) for name, (low, high) in data["domain"]["ranges"].items()},
            {name: tuple(values) for name, values in data["domain"]["options"].items()},
        )
        learned = {name: _learned(data["resources"][name]) for name in RESOURCES}
        flow = {name: _calibration(data["flow"][name]) for name in data["flow"]}
        return AreaModel(learned, domain, int(data["rows"]), flow)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{where}: damaged: {type(error).__name__}: {error}") from None


def _learned(data: Mapping[str, Any]) -> Learned:
    process = ProcessRegressor()
    parts = data["correction"]
    for name in _ARRAYS:
        setattr(process, name, _numbers(parts[name]))
    for name in _NUMBERS:
        setattr(process, name, float(_numbers(parts[name])))
    count, dimensions = process.points_.shape
    if process.known_.shape != (count, count) or process.weights_.shape != (count,):
        raise ValueError("arrays that do not fit together")
    process.n_features_in_ = dimensions
    factors = _numbers(data["factors"])
    if factors.shape != (sum(map(len, SIZE_NAMES.values())),):
        raise ValueError(f"{len(factors)} factors")
    return Learned(ComposedModel(factors, process), np.sort(_numbers(data["errors"])))


def _calibration(data: Mapping[str, Any]) -> Calibration:
    factor, deviation = (float(_numbers(data[name])) for name in ("factor", "deviation"))
    if factor <= 0 or deviation < 0:
        raise ValueError("a factor or deviation out of range")
    return Calibration(factor, deviation, int(data["points"]))


def _numbers(value: Any) -> np.ndarray:
    found = np.array(value, dtype=np.float64)
    if not np.isfinite(found).all():
        raise ValueError("a number that is not finite")
    return found


def write(path: Path, model: AreaModel) -> None:
    """Write a model to ``path``, replacing the file atomically. Raises OSError."""
    with atomic_file(path) as file:
        file.write(json.dumps(to_dict(model)).encode())


def read(path: Path) -> AreaModel:
    """Read a model file. Raises UserError that names a file that cannot be read or is not one."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None
    return from_dict(data, str(path))
