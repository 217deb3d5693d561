"""Hostile pickles: batches of CIFAR-10 and files of weights."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.codesign import small_build
from tests.hostile.cases import CASES, GIGABYTES, bomb, case


class _Reduced:
    """Pickles as a call of something with arguments."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def _batch(name: str, data: Callable[[], bytes]) -> None:
    """A case of a CIFAR-10 python batch."""

    def make(folder: Path, build: Path) -> list[str]:
        (folder / "data_batch_1").write_bytes(data())
        return ["evaluate", str(build), "--dataset", "cifar10", "--data-dir", str(folder)]

    CASES[name] = make


def _pointer_dtype() -> bytes:
    """A pickle whose dtype takes its fields from the file: numpy followed them."""
    state = (3, "|", ("sub", (1 << 40,)), ("a",), {"a": (1, 1 << 40)}, 8, 1, 27)
    dtype = _Reduced(np.dtype, ("V8", False, True), state)
    return pickle.dumps({b"data": dtype, b"labels": []}, protocol=2)


_batch("x4_dtype_from_the_file", _pointer_dtype)
_batch("x4_call_of_the_system", lambda: pickle.dumps({b"data": _Reduced(os.system, ("id",))}, 2))
_batch("x4_memo_of_four_billion", lambda: b"\x80\x02}r\xff\xff\xff\x7f.")
_batch("x4_text_opcodes", lambda: b"cos\nsystem\n(S'id'\ntR.")
_batch("x4_array_of_objects", lambda: pickle.dumps({b"data": np.array([None]), b"labels": []}, 2))
_batch("x4_shape_beyond_its_bytes", lambda: pickle.dumps(
    {b"data": np.zeros((1, 3072), np.uint8), b"labels": [0]}, 2
).replace(b"M\x00\x0c", b"M\xff\xff"))  # fmt: skip


@case
def x4_binary_batch_cut_short(folder: Path, build: Path) -> list[str]:
    (folder / "data_batch_1.bin").write_bytes(bytes(5000))
    return ["evaluate", str(build), "--dataset", "cifar10", "--data-dir", str(folder)]


def _weights(name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """A case of a .weights file: that of an untrained network, changed."""

    def make(folder: Path, build: Path) -> list[str]:
        import torch

        from codesign import design
        from models.training import checkpoint
        from models.training.network import QuantNetwork

        made = design.loads(small_build.DESIGN)
        network = QuantNetwork(made.network, made.quantisation)
        network.quantise()
        content: dict[str, Any] = {
            "format": checkpoint.FORMAT,
            "network": checkpoint.network_text(made.network, made.quantisation),
            "scale_bits": 8,
            "state": network.state_dict(),
            "history": [(1.0, 0.5, True)],
        }
        change(content)
        torch.save(content, folder / "a.weights")
        (folder / "design.yaml").write_text(small_build.DESIGN)
        out = ["--out", str(folder / "out")]
        return ["build", str(folder / "design.yaml"), "--weights", str(folder / "a.weights"), *out]

    CASES[name] = make


def _first(content: dict[str, Any]) -> Any:
    return next(t for name, t in content["state"].items() if name.endswith("weight"))


_weights("x18_weights_of_nan", lambda c: _first(c).fill_(float("nan")))
_weights("x18_weights_of_1e30", lambda c: _first(c).fill_(1e30))
_weights("x18_weights_without_history", lambda c: c.update(history=[]))
_weights("x18_weights_of_a_long_epoch", lambda c: c.update(history=[(1.0, 0.5, True, 0.5, 1)]))
_weights("x18_weights_of_text_as_accuracy", lambda c: c.update(history=[(1.0, 0.5, True, "a")]))
_weights("x18_weights_with_text", lambda c: c.update(state={"a": "b"}))
_weights("x18_weights_missing", lambda c: c.update(state={}))
_weights("x11_weights_with_many_scale_bits", lambda c: c.update(scale_bits=1 << 40))
_weights("x11_weights_of_a_large_network", lambda c: c.update(
    network=c["network"].replace("out_features: 5", "out_features: 60000")
))  # fmt: skip


@case
def x9_weights_that_unpack_to_gigabytes(folder: Path, build: Path) -> list[str]:
    bomb(folder / "a.weights", "a/data.pkl", b"\x80\x02}.", GIGABYTES)
    (folder / "design.yaml").write_text(small_build.DESIGN)
    out = ["--out", str(folder / "out")]
    return ["build", str(folder / "design.yaml"), "--weights", str(folder / "a.weights"), *out]


@case
def x4_weights_of_more_values_than_bytes(folder: Path, build: Path) -> list[str]:
    """Torch read beyond the record: the pickle says how many values it has."""
    arguments = CASES["x18_weights_missing"](folder, build)
    import torch

    stream = io.BytesIO()
    torch.save({"format": 2, "network": "", "scale_bits": 8, "history": [],
                "state": {"a": torch.zeros(1000)}}, stream)  # fmt: skip
    with zipfile.ZipFile(stream) as old, zipfile.ZipFile(folder / "a.weights", "w") as new:
        for info in old.infolist():
            data = old.read(info)
            data = data.replace(struct.pack("<H", 1000), struct.pack("<H", 60000))
            new.writestr(info.filename, data)
    return arguments
