"""Hostile build folders: program, manifest, reports, network and memory images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile.cases import CASES, ESCAPES, case


def _json(name: str, file: str, change: Callable[[Any], Any], *verb: str) -> None:
    """A case of a build folder with one JSON file changed, in place or by what is returned."""

    def make(folder: Path, build: Path) -> list[str]:
        path = build / file
        content = json.loads(path.read_text()) if path.exists() else {}
        found = change(content)
        path.parent.mkdir(exist_ok=True)
        path.write_text(found if isinstance(found, str) else json.dumps(content))
        return [*(verb or ("report",)), str(build)]

    CASES[name] = make


_P = "program.json"


def _steps(program: Any) -> list[dict[str, Any]]:
    return program["programs"]["normal"]["instructions"]


_json("x11_program_of_a_list", _P, lambda c: "[]", "verify")
_json("x11_program_without_columns", _P, lambda c: c["hardware"]["weights"].clear(), "verify")
_json("x11_program_nested_deep", _P, lambda c: "[" * 100_000, "verify")
_json("x11_program_of_many_digits", _P, lambda c: f'{{"format": {"4" * 5000}}}', "verify")
_json("x11_program_twice", _P, lambda c: '{"format": 5, "format": 5}', "verify")
_json("x11_program_of_nan", _P, lambda c: '{"format": NaN}', "verify")
_json("x11_program_of_1e999", _P, lambda c: '{"format": 1e999}', "verify")
_json("x11_program_of_half_a_pair", _P, lambda c: '{"format": "\\ud800"}', "verify")
_json("x11_program_of_many_lists", _P, lambda c: f"[{'[],' * 5_000_000}[]]", "verify")
_json("x11_steps_without_opcodes", _P,
      lambda c: _steps(c)[0].pop("opcode"))  # fmt: skip
_json("x11_steps_of_other_layers", _P, lambda c: [s.update(tensor="no") for s in _steps(c)])
_json("x11_large_words_of_a_pixel", _P,
      lambda c: [t.update(pixel_words=65535, beats_per_word=255)
                 for t in c["tensors"].values()], "verify")  # fmt: skip
_json("x11_lanes_outside", _P,
      lambda c: [t.update(channel_lanes=[9] * len(t["channel_lanes"]))
                 for t in c["tensors"].values()], "verify")  # fmt: skip
_json("x19_escapes_in_program", _P,
      lambda c: [t.update(name=5 * ESCAPES, shape=[1]) for t in c["tensors"].values()],
      "verify")  # fmt: skip
_json("x11_program_with_a_path_as_top", _P,
      lambda c: c["hardware"].update(top="../../npu"), "verify")  # fmt: skip
_json("x11_program_of_unknown_axes", _P, lambda c: c.update(input_axes="whc"), "verify")
_json("x11_program_of_an_empty_range", _P,
      lambda c: c.update(input_range={"low": [1.0], "high": [1.0]}), "verify")  # fmt: skip
_json("x11_program_of_a_range_without_end", _P,
      lambda c: c.update(input_range={"low": [0.0], "high": []}), "verify")  # fmt: skip
_json("x11_training_of_numbers", "reports/training.json", lambda c: c.update(full=[1]))
_json(
    "x11_training_of_text",
    "reports/training.json",
    lambda c: c.update(full={"epochs": [{"loss": "a", "accuracy": 1.0, "quantised": True}]}),
)
_json("x11_device_of_a_number", "manifest.json", lambda c: c.update(device=7))
_json("x11_manifest_of_a_list", "manifest.json", lambda c: c.update(sha256=[]))
_json("x11_manifest_of_numbers", "manifest.json", lambda c: c.update(sha256={"a": 3}), "verify")
_json("x11_estimate_of_text", "reports/estimate.json", lambda c: c.update(luts="many"))
_json("x11_synthesis_of_nothing", "reports/synthesis.json", lambda c: c.update(figures=[]))
_json("x11_timing_without_path", "reports/timing.json", lambda c: "{}")
_json("x11_verification_without_tool", "reports/verification.json", lambda c: c.update(images=1))
_json("x11_accuracy_of_a_list", "reports/accuracy.json", lambda c: "[[]]", "compare", "examples")


def _network(name: str, change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> None:
    """A case of a build folder with a changed network.npz."""

    def make(folder: Path, build: Path) -> list[str]:
        with np.load(build / "network.npz") as stored:
            arrays = dict(stored)
        header = json.loads(str(arrays["header"]))
        change(header, arrays)
        arrays["header"] = np.array(json.dumps(header))
        np.savez(build / "network.npz", **arrays)
        np.save(folder / "a.npy", np.zeros((1, 6, 6), np.uint8))
        return ["predict", str(build), str(folder / "a.npy")]

    CASES[name] = make


_network("x11_network_without_layers", lambda h, a: h.update(layers=[]))
_network("x11_network_of_other_types", lambda h, a: h.update(tensors={"a": 1}))
_network("x11_network_without_array", lambda h, a: a.pop("0.bias"))
_network("x11_network_of_other_shapes", lambda h, a: h["tensors"][0].update(shape=[1, 9, 9]))
_network("x11_network_of_many_channels", lambda h, a: h["tensors"][0].update(shape=[1 << 60, 1, 1]))
_network("x18_network_of_nan", lambda h, a: h["tensors"][0].update(scale=float("nan")))
_network("x18_network_of_large_weights", lambda h, a: a["0.weights0"].fill(1 << 60))
_network("x18_network_of_real_weights", lambda h, a: a.update({"0.bias": np.ones(4) / 3}))
_network("x11_network_in_a_circle", lambda h, a: h["layers"][0].update(sources=["logits"]))


@case
def x20_many_rows_of_hexadecimals(folder: Path, build: Path) -> list[str]:
    path = build / "mem" / "weights.hex"
    path.write_text(path.read_text().splitlines(keepends=True)[0] * 300_000)
    return ["verify", str(build)]


@case
def x20_one_long_row_of_hexadecimals(folder: Path, build: Path) -> list[str]:
    (build / "program.hex").write_text("0" * 3_000_000)
    return ["verify", str(build)]


@case
def x20_negative_hexadecimals(folder: Path, build: Path) -> list[str]:
    path = build / "mem" / "channels.hex"
    path.write_text(path.read_text().replace("0", "-", 1))
    return ["verify", str(build)]
