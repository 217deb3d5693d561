"""The readers that the fuzzer damages files for, each with good files."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from codesign import design as designs
from codesign.build import built, inputs, manifest
from codesign.cli import search_options
from codesign.cost.area import model_file
from codesign.cost.data import dataset, module_data
from codesign.fpga import flow_reports
from codesign.results import UserError
from codesign.search.space import declaration
from models.data import datasets
from models.errors import DatasetError
from models.files import json_io, yaml_io
from models.training.trained import TrainedNetwork
from sim.folder import FolderError
from sim.folder import read as read_folder
from tests.codesign import small_build
from tests.fuzz import networks, studies
from tests.fuzz.reader import Reader, of_build, one
from tests.hostile import CASES


def _simulated(folder: Path) -> None:
    try:
        read_folder(folder)
    except FolderError as error:
        raise UserError(str(error)) from None


def _verified(folder: Path) -> None:
    if manifest.is_build(folder):
        manifest.changed_files(folder)


def _predicted(folder: Path) -> None:
    found = built.load(folder)
    found.scores(found.logits(np.zeros((2, *found.shape), np.uint8)))


def _arrays(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def _picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(stream, form, **options)
    return stream.getvalue()


def _pictures() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for label in "ab":
            for number in range(5):
                archive.writestr(f"{label}/{number}.png", _picture("PNG"))
    return stream.getvalue()


def _decoded() -> Reader:
    """Pictures of every format."""
    forms = {"a.png": ("PNG", "RGBA"), "a.jpg": ("JPEG", "L"), "a.gif": ("GIF", "P"),
             "a.bmp": ("BMP", "RGB"), "a.tif": ("TIFF", "I;16"), "a.webp": ("WEBP", "RGB"),
             "a.ppm": ("PPM", "RGB")}  # fmt: skip

    def prepare(folder: Path) -> dict[str, bytes]:
        small_build.write(folder / "build")
        found = {name: _picture(*form) for name, form in forms.items()}
        for name, data in found.items():
            (folder / name).write_bytes(data)
        return found

    def read(folder: Path) -> None:
        network = built.load(folder / "build")
        for name in forms:
            try:
                inputs.read(network, folder / name)
            except DatasetError:
                continue

    return Reader(prepare, read)


def _batches(folder: Path) -> dict[str, bytes]:
    batch = {b"data": np.zeros((20, 3072), np.uint8), b"labels": [n % 10 for n in range(20)]}
    data = pickle.dumps(batch, protocol=2)
    names = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
    for name in names:
        (folder / name).write_bytes(data)
    return {names[0]: data}


def _idx(folder: Path) -> dict[str, bytes]:
    found = {}
    for part in ("train", "t10k"):
        images = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4) for n in (20, 4, 4)) + bytes(320)
        labels = bytes((0, 0, 8, 1)) + (20).to_bytes(4) + bytes(n % 10 for n in range(20))
        found |= {f"{part}-images-idx3-ubyte": images, f"{part}-labels-idx1-ubyte": labels}
    for name, data in found.items():
        (folder / name).write_bytes(data)
    return found


def _weights(folder: Path) -> dict[str, bytes]:
    (folder / "b").mkdir()
    CASES["x18_weights_without_history"](folder, folder / "b")
    import torch

    content = torch.load(folder / "a.weights", weights_only=True)
    torch.save({**content, "history": [(1.0, 0.5, True)]}, folder / "a.weights")
    return {"a.weights": (folder / "a.weights").read_bytes()}


def _model() -> bytes:
    return json.dumps(model_file.to_dict(model_file.load())).encode()


_TABLE = "\n".join(dataset.SHIPPED.read_text().splitlines()[:5])
_MODULES = "\n".join(module_data.beside().read_text().splitlines()[:5])
_PRESET = Path(declaration.__file__).parent / "presets"

READERS: dict[str, Reader] = {
    "yaml": one("a.yaml", b"a: &x [1, 0x1f, 1e3, {b: c}]\nd: *x\n? e\n: !!int 3\n", yaml_io.load),
    "json": one("a.json", b'{"a": [1, 2.5, "\\u00e9", {"b": null}]}', json_io.load),
    "design": one("a.yaml", small_build.DESIGN.encode(), designs.load),
    "options": one(
        "a.yaml", b"lut_budget: 9000\nseed: 3\nout: a\ndataset: {name: digits}\n",
        lambda path: search_options.merge(path, {}),
    ),
    "space": one(
        "a.yaml", sorted(_PRESET.glob("*.yaml"))[0].read_bytes(), declaration.load_declaration
    ),
    "program": of_build(
        ("program.json", "program.hex", "mem/weights.hex", "vectors/inputs.npz",
         "vectors/expected.npz"), _simulated
    ),
    "manifest": of_build(("manifest.json",), _verified),
    "report": of_build(
        ("manifest.json", "program.json", "reports/estimate.json", "reports/synthesis.json",
         "reports/verification.json", "reports/accuracy.json"), studies.shown,
    ),
    "network": of_build(("network.npz",), _predicted),
    "npz": one(
        "a.npz", _arrays(x=np.zeros((30, 4, 4)), y=np.arange(30) % 3),
        lambda path: datasets.load(str(path)),
    ),
    "pictures": _decoded(),
    "zip": one("a.zip", _pictures(), lambda path: datasets.load(str(path))),
    "idx": Reader(_idx, lambda folder: datasets.load("mnist", folder)),
    "cifar": Reader(_batches, lambda folder: datasets.load("cifar10", folder)),
    "weights": Reader(_weights, lambda folder: TrainedNetwork.load(folder / "a.weights")),
    "area_model": one("a.json", _model(), model_file.read),
    "area_data": one("a.csv", _TABLE.encode(), dataset.read),
    "module_data": one("a.csv", _MODULES.encode(), module_data.read),
    "flow_report": one(
        "a.json", b'{"modules": {"npu": {"num_cells_by_type": {"LUT6": 5, "FDRE": 6}}}}',
        flow_reports.read,
    ),
    "flow_text": one("a.rpt", b"| Slice LUTs* | 1,900 | 0 |\n| DSPs | 3 |\n", flow_reports.read),
    **studies.READERS,
    **networks.READERS,
}  # fmt: skip
