"""The JSON files that a report is made of, checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codesign.results import Figures, UserError
from models.files import forms
from models.files.reading import read_json, told_as
from models.files.writing import inside
from models.training.history import Epoch, from_list

_FIGURES = {f"{name}?": (None, float) for name in vars(Figures())}
_COUNT = range(1 << 62)
_HOP = {"name": str, "logic_ns": float, "routing_ns": float}
_PATH = {"start": str, "end": str, "logic_ns": float, "routing_ns": float, "hops": [_HOP]}
_SCORES = {"test?": {"images?": (None, _COUNT)}}
_INSTRUCTION = {
    "opcode": str, "name": str, "tensor": (None, str), "cycles": _COUNT, "fields": {str: _COUNT},
}  # fmt: skip
_EPOCH = {
    "loss": float, "quantised": bool, "training_accuracy?": (None, float),
}  # fmt: skip
_CANDIDATE = {
    "label": str, "accuracy": float, "images_per_second": float, "luts": float,
    "one_bits?": (None, _COUNT), "objectives?": {str: float}, "on_front?": bool, "chosen?": bool,
}  # fmt: skip
FORMS: dict[str, Any] = {
    "accuracy": {
        "validation?": (None, float), "test?": (None, float), "scores?": _SCORES,
        "data_sha256?": str,
    },
    "estimate": _FIGURES | {"intervals?": {str: [float]}, "notes?": [str]},
    "synthesis": {
        "figures?": _FIGURES, "tool_version": str, "family": str, "seconds": float,
    },
    "timing": {
        "critical_path": _PATH, "device": str, "speed_grade": (str, int),
        "tool_version": str, "seconds": float,
    },
    "verification": _FIGURES | {
        "images?": (None, _COUNT), "bit_exact?": (None, bool), "failure?": (None, str),
        "layers?": [{"opcode": str, "simulated": (None, int)}], "simulator": {"name": str},
    },
    "training": {str: {"score?": str, "epochs": [_EPOCH]}},
    "manifest": {"versions?": {str: str}, "device?": (None, str)},
    "program": {"programs": {"normal": {"instructions": [_INSTRUCTION]}}},
    "summary": {"build?": (None, str), "problem?": (None, str), "dataset": str, "budget?": dict},
    "front": {"candidates": [_CANDIDATE]},
    "explore": {"device?": (None, str), "data_sha256?": str},
}  # fmt: skip
"""Name of a file, without ``.json``, -> its form."""
FIGURES: dict[str, Any] = FORMS | {"synthesis": {"figures?": _FIGURES}, "verification": _FIGURES}
"""The same for those who only take the figures, as old build folders have them."""


def read(folder: Path, name: str, known: Mapping[str, Any] = FORMS) -> dict[str, Any]:
    """Return the content of ``name``.json in a folder, which has its form in ``known``.

    Raises UserError.
    """
    path = folder / f"{name}.json"
    with told_as(UserError):
        content: dict[str, Any] = read_json(path)
        forms.conform(content, known[name], str(path))
    return content


def epochs(curve: Mapping[str, Any], folder: Path) -> tuple[Epoch, ...]:
    """Return the epochs of a curve of training.json, whose score is an accuracy if not said.

    folder: that of the file, for messages. Raises UserError for an epoch without its score.
    """
    score = curve.get("score", "accuracy")
    for one in curve["epochs"]:
        with told_as(UserError):
            forms.conform(one, {score: float}, f"{folder / 'training.json'}: epochs")
    return from_list({**one, "accuracy": one[score]} for one in curve["epochs"])


def built(folder: Path, summary: dict[str, Any]) -> Path:
    """Return the build folder of a search, which lies inside its folder. Raises UserError."""
    with told_as(UserError):
        return inside(folder, summary["build"])
