"""Readers of networks of others, and of network folders."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codesign.build import imported, imported_build
from models.exporting import export
from models.importing import folder as folders
from models.importing import imports
from tests.codesign.compiler.random_networks import random_network
from tests.fuzz.reader import Reader, one
from tests.models.importing import onnx_models, test_float, tflite_models

_NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4}\n"
_ONNX: dict[str, Callable[[], Any]] = {
    "quantised": onnx_models.residual,
    "float": test_float.residual,
}


def _written(folder: Path, kind: str) -> Path:
    """Write a network folder and return it."""
    path = onnx_models.write(folder / f"{kind}.onnx", _ONNX[kind]())
    (folder / kind).mkdir()
    folders.save(imports.read(path), folder / kind)
    return folder / kind


def _lowered(folder: Path) -> None:
    """Read a network folder with its NPU, as ``estimate`` and ``build`` do."""
    design, network = imported.of(folder / "quantised", folder / "npu.yaml")
    folders.table(folder / "quantised")
    imported_build.lower(design, network)


def _folder(kind: str, read: Callable[[Path], Any]) -> Reader:
    """A reader of all files of a network folder, and of an NPU beside it."""

    def prepare(folder: Path) -> dict[str, bytes]:
        found = _written(folder, kind)
        (folder / "npu.yaml").write_text(_NPU)
        files = [*found.iterdir(), folder / "npu.yaml"]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}

    return Reader(prepare, read)


def _exported() -> bytes:
    """A network in ONNX's integer operators, as ``codesign export`` writes it."""
    return export.onnx_bytes(random_network(random.Random(3), 8, 0.0, 16), "onnx")


def _parted(path: Path) -> None:
    """Read the part of a network before what is refused."""
    imports.read(path, partition=True)


READERS: dict[str, Reader] = {
    "onnx": one("a.onnx", onnx_models.residual().SerializeToString(), imports.read),
    "onnx_float": one("a.onnx", test_float.residual().SerializeToString(), imports.read),
    "onnx_integers": one("a.onnx", _exported(), imports.read),
    "onnx_part": one("a.onnx", onnx_models.residual().SerializeToString(), _parted),
    "tflite": one("a.tflite", tflite_models.small(tflite_models.numbers()), imports.read),
    "network_folder": _folder("quantised", _lowered),
    "float_folder": _folder("float", lambda folder: folders.load(folder / "float")),
}
