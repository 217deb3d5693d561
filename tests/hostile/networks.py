"""Hostile networks of others: ONNX and TFLite files, network folders and their NPUs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.cases import CASES, ESCAPES, GIGABYTES, bomb, case, npy
from tests.hostile.designs import LAUGHS, SECRET

_NPU = "npu: {pixels: 1, lanes: 4, columns: 8, weight_digit_bits: 4}\n"


def _import(folder: Path, path: Path) -> list[str]:
    return ["import", str(path), "--out", str(folder / "net"), "--max-memory", "200M"]


def _onnx(name: str, make: Callable[[], Any]) -> None:
    """A case of an ONNX model."""

    def prepare(folder: Path, build: Path) -> list[str]:
        from tests.models.importing.onnx_models import write

        return _import(folder, write(folder / "a.onnx", make()))

    CASES[name] = prepare


def _nodes(nodes: list[tuple[Any, ...]], constants: dict[str, Any], **how: Any) -> Any:
    """A model of nodes (operator, inputs, outputs, attributes)."""
    from tests.models.importing import onnx_models

    made = [onnx_models.node(op, list(i), list(o), **more) for op, i, o, more in nodes]
    return onnx_models.model(made, constants, **how)


def _chain(op: str, count: int, constants: dict[str, Any]) -> Any:
    """Constants that are computed again and again, and all kept."""
    nodes = [(op, ("a", "b"), ("c0",), {})]
    nodes += [(op, (f"c{n}", "b"), (f"c{n + 1}",), {}) for n in range(count)]
    nodes += [("Add", ("x", f"c{count}"), ("y",), {})]
    return _nodes(nodes, constants, shape=(1, 1, 1024, 1024))


def _outside(location: str, offset: str = "0") -> Any:
    from onnx import TensorProto

    made = _nodes([("Conv", ("x", "w"), ("y",), {})], {"w": np.ones((4, 3, 3, 3), np.float32)})
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return made


_SIDE = np.ones((1024, 1), np.float32)
_onnx("x8_products_of_constants", lambda: _chain("Mul", 200, {"a": _SIDE, "b": _SIDE.T}))
_onnx("x8_doubling_constants", lambda: _nodes(
    [("Concat", (f"c{n}", f"c{n}"), (f"c{n + 1}",), {"axis": 0}) for n in range(40)]
    + [("Add", ("x", "c40"), ("y",), {})], {"c0": np.ones((1024, 8), np.float32)}
))  # fmt: skip
_onnx("x8_picked_many_times", lambda: _nodes(
    [("Gather", ("a", "i"), ("b",), {"axis": 0}), ("Gather", ("b", "i"), ("c",), {"axis": 1}),
     ("Add", ("x", "c"), ("y",), {})],
    {"a": np.ones((1, 1, 1, 1), np.float32), "i": np.zeros(60_000, np.int64)}
))  # fmt: skip
_onnx("x9_input_of_sixty_million_values", lambda: _nodes(
    [("Conv", ("x", "w"), ("y",), {})], {"w": np.ones((1, 1, 3, 3), np.float32)},
    shape=(1, 1, 8192, 8191)
))  # fmt: skip
_onnx("x15_weights_above", lambda: _outside("../a.bin"))
_onnx("x15_weights_elsewhere", lambda: _outside("/etc/passwd"))
_onnx("x11_weights_behind_everything", lambda: _outside("a.onnx", str(10**30)))
_onnx("x11_weights_at_many_digits", lambda: _outside("a.onnx", "9" * 5000))
_onnx("x11_odd_pads", lambda: _nodes([("Pad", ("x", "p"), ("y",), {})],
                                     {"p": np.ones(7, np.int64)}))  # fmt: skip
_onnx("x11_inputs_missing", lambda: _nodes([("Add", ("x",), ("y",), {})], {}))
_onnx("x11_split_into_nothing", lambda: _nodes([("Split", ("x",), ("y", "z"), {"axis": 9})], {}))
_onnx("x19_escapes_in_a_node", lambda: _nodes([("LSTM", ("x",), ("y",), {"name": ESCAPES})], {}))
_onnx("x19_escapes_in_an_operator", lambda: _nodes([(5 * ESCAPES, ("x",), ("y",), {})], {}))


@case
def x9_weights_shared_by_many_tensors(folder: Path, build: Path) -> list[str]:
    """Each constant says that it lies in one sparse file beside the model."""
    from onnx import TensorProto, helper

    made = _outside("a.bin")
    first = made.graph.initializer[0]
    first.dims[:] = [1 << 18]
    for number in range(300):
        more = TensorProto()
        more.CopyFrom(first)
        more.name = f"w{number}"
        made.graph.initializer.append(more)
    made.graph.node.append(helper.make_node("Relu", ["y"], ["z"]))
    (folder / "a.onnx").write_bytes(made.SerializeToString())
    with (folder / "a.bin").open("wb") as file:
        file.truncate(4 << 18)
    return _import(folder, folder / "a.onnx")


@case
def x5_weights_are_a_link(folder: Path, build: Path) -> list[str]:
    (folder / "a.onnx").write_bytes(_outside("a.bin").SerializeToString())
    (folder / "a.bin").symlink_to(build / "network.npz")
    return _import(folder, folder / "a.onnx")


@case
def x10_pipe_as_weights(folder: Path, build: Path) -> list[str]:
    (folder / "a.onnx").write_bytes(_outside("a.bin").SerializeToString())
    os.mkfifo(folder / "a.bin")
    return _import(folder, folder / "a.onnx")


@case
def x10_zero_as_network(folder: Path, build: Path) -> list[str]:
    (folder / "a.tflite").symlink_to("/dev/zero")
    return _import(folder, folder / "a.tflite")


@case
def x17_private_text_as_network(folder: Path, build: Path) -> list[str]:
    (folder / "a.onnx").write_text(SECRET)
    return _import(folder, folder / "a.onnx")


@case
def x6_import_over_a_thesis(folder: Path, build: Path) -> list[str]:
    from tests.models.importing import onnx_models

    (folder / "net").mkdir()
    (folder / "net" / "network.json").write_text('{"format": 1}')
    (folder / "net" / "weights.npz").write_text("years of work")
    return _import(folder, onnx_models.write(folder / "a.onnx", onnx_models.residual()))


@case
def x6_import_through_a_link(folder: Path, build: Path) -> list[str]:
    from tests.models.importing import onnx_models

    (folder / "net").symlink_to(build)
    return _import(folder, onnx_models.write(folder / "a.onnx", onnx_models.residual()))


def _folder(name: str, change: Callable[[Path, dict[str, Any]], Any], *verb: str) -> None:
    """A case of a network folder with a changed header or files, and an NPU beside it."""

    def prepare(folder: Path, build: Path) -> list[str]:
        from models.importing import folder as folders
        from models.importing import imports
        from tests.models.importing import onnx_models

        path = onnx_models.write(folder / "a.onnx", onnx_models.residual())
        net, npu = folder / "net", folder / "npu.yaml"
        folders.save(imports.read(path), net)
        npu.write_text(_NPU)
        header = json.loads((net / "network.json").read_text())
        change(net, header)
        if not (net / "network.json").is_fifo():
            (net / "network.json").write_text(json.dumps(header))
        return [*(verb or ("estimate",)), str(net), "--npu", str(npu)]

    CASES[name] = prepare


def _pipe(net: Path, header: dict[str, Any]) -> None:
    (net / "network.json").unlink()
    os.mkfifo(net / "network.json")


_folder("x8_npu_of_nested_aliases", lambda n, h: (n.parent / "npu.yaml").write_text(LAUGHS))
_folder("x9_network_that_unpacks_to_gigabytes", lambda n, h: bomb(
    n / "integer.npz", "header.npy", npy((1 << 32,)), GIGABYTES
))  # fmt: skip
_folder("x10_pipe_as_header", _pipe)
_folder("x10_npu_is_a_folder", lambda n, h: [(n.parent / "npu.yaml").unlink(),
                                             (n.parent / "npu.yaml").mkdir()])  # fmt: skip
_folder("x11_network_of_many_bits", lambda n, h: h["input"]["grid"].update(bits=10**17))
_folder("x11_network_of_one_gain", lambda n, h: h["input"].update(gain=[1.0]))
_folder("x11_network_without_codes", lambda n, h: h["input"].update(grid=None))
_folder("x17_private_npu", lambda n, h: (n.parent / "npu.yaml").write_text(SECRET))
_folder("x18_network_of_no_gain", lambda n, h: h["input"].update(gain=[0.0] * 3))
_folder("x18_network_of_1e300", lambda n, h: h["input"].update(offset=[1e300] * 3))
_folder("x18_network_of_a_large_scale", lambda n, h: h["input"]["grid"].update(scale=1e40))
_folder("x19_escapes_in_a_network", lambda n, h: h.update(name=5 * ESCAPES))
_folder("x19_escapes_in_an_input", lambda n, h: h["input"].update(name=ESCAPES, gain=[-1.0] * 3))
