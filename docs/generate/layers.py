"""Layers with their keys, types, defaults and limits, and what is refused, in the code's words."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from typing import Any

from codesign.compiler import plan
from codesign.compiler.checks import MAX_SOURCES
from codesign.results import InfeasibleError
from docs.generate.isa import LEVEL_DOCS
from docs.generate.markdown import Generator, code, sections, table
from docs.generate.sources import allowed, prose, refusal
from models.errors import YamlError
from models.files import yaml_io
from models.graph.alternatives import ALTERNATIVES
from models.graph.layers import OPS, LayerSpec, Padding, Pair, Shape
from models.graph.yaml import read_graph
from models.integer.lower import shape_only
from models.quantisation.plan import Quantisation, QuantSpec
from rtl_gen.config import NpuConfig
from rtl_gen.isa.fields import COLUMN_BITS, COUNT_BITS

SAMPLES: Mapping[Any, Any] = {int: 4, Pair: (3, 3), Shape: (4, 8, 8), bool: True, str: "avg"}
"""A legal value of each type of key."""
TYPES = {int: "integer", Pair: "integer or `[rows, columns]`", bool: "`true`, `false`"}
TYPES |= {Shape: "`[channels, rows, columns]`"}
TYPES |= {Padding: "integer, `[rows, columns]` or `[top, left, bottom, right]`"}
PROBES = (-1, 0, 1, 2)

UNSOUND = (
    ("a kernel larger than its padded input", "{op: conv2d, out_channels: 4, kernel: 9}"),
    ("padding as large as the kernel", "{op: conv2d, out_channels: 4, kernel: 3, padding: 3}"),
    ("groups that do not divide", "{op: conv2d, out_channels: 4, kernel: 1, groups: 3}"),
    ("pooling that sees padding alone", "{op: max_pool, kernel: 2, padding: 2}"),
    ("averages of different numbers of values",
     "{op: avg_pool, kernel: 3, stride: 1, padding: 1, count_include_pad: false}"),
    ("a sum of two shapes",
     "{op: conv2d, out_channels: 2, kernel: 3}, {op: add, inputs: [image, l0]}"),
    ("an unknown layer", "{op: softmax}"),
    ("an unknown key", "{op: conv2d, out_channels: 4, kernel: 3, pad: 1}"),
    ("logits with a ReLU", "{op: linear, out_features: 4, relu: true}"),
    ("an output without weights", "{op: global_pool}"),
)  # fmt: skip
"""What no network may be, each as layers behind an image of 4 x 8 x 8."""

ROOMY = {"weight_depth": 4096, "channel_depth": 1024, "result_depth": 1024, "program_depth": 1024}
CONV = "{op: conv2d, out_channels: 8, kernel: 3}"
CLASSES = "{op: linear, out_features: 64}"
UNFIT: tuple[tuple[str, str, dict[str, Any], QuantSpec], ...] = (
    ("codes wider than the array", f"{CONV}, {CLASSES}", {"activation_bits": 4}, QuantSpec(4, 6)),
    ("weights", CLASSES, {"weight_depth": 16}, QuantSpec()),
    ("feature maps", f"{CONV}, {CLASSES}", {"activation_depth": 16}, QuantSpec()),
    ("channels", f"{CONV}, {CLASSES}", {"channel_depth": 16}, QuantSpec()),
    ("classes", CLASSES, {"result_depth": 16}, QuantSpec()),
    ("instructions", f"{CONV}, {CLASSES}", {"program_depth": 32}, QuantSpec()),
)
"""What does not run on an NPU, each with the parameter that is too small for it."""


def _graph(layers: str) -> Any:
    """The network of layers without names behind an image; they are called l0, l1, ..."""
    parts = layers.split("}, {")
    named = "}, {".join(f"name: l{i}, {part.lstrip('{')}" for i, part in enumerate(parts))
    text = f"[{{name: image, op: input, shape: [4, 8, 8]}}, {{{named}]"
    return read_graph(yaml_io.load(text), "n")


def _bare(message: str) -> str:
    """Without file, line and path."""
    return re.sub(r"^<text>:1: (\[\d+\][.\w]*: )?", "", message)


def all_layers() -> str:
    """A section an op: what it computes, its inputs, its keys."""
    return sections(3, ((f"`{op}`", _section(spec)) for op, spec in OPS.items()))


def _section(spec: type[LayerSpec]) -> str:
    parts = [f"{prose(spec.__doc__)} Reads {_inputs(spec)}."]
    hints = typing.get_type_hints(spec)
    rows = [
        (code(f.name), _type(spec, f, hints), _default(spec, f), _least(spec, f, hints))
        for f in dataclasses.fields(spec)
    ]
    if rows:
        parts.append(table(("key", "type", "default", "least"), rows))
    return "\n\n".join(parts)


def _inputs(spec: type[LayerSpec]) -> str:
    low, high = spec.least_inputs, spec.most_inputs
    if not high and high is not None:
        return "nothing"
    words = {1: "one layer", 2: "two layers"}
    return words.get(low, f"{low} layers") + ("" if high == low else " or more")


def _type(spec: type[LayerSpec], field: dataclasses.Field[Any], hints: Mapping[str, Any]) -> str:
    if hints[field.name] in TYPES:
        return TYPES[hints[field.name]]
    answer = refusal(lambda: spec(**{**_legal(spec), field.name: "nonsense"}), ValueError)
    return ", ".join(code(word) for word in allowed(answer).split(", "))


def _legal(spec: type[LayerSpec]) -> dict[str, Any]:
    """Values for the keys that have no default."""
    hints = typing.get_type_hints(spec)
    fields = [f for f in dataclasses.fields(spec) if f.default is dataclasses.MISSING]
    return {f.name: SAMPLES[hints[f.name]] for f in fields}


def _default(spec: type[LayerSpec], field: dataclasses.Field[Any]) -> str:
    if field.default is dataclasses.MISSING:
        names = {f.name for f in dataclasses.fields(spec)}
        return "the kernel" if field.name == "stride" and "kernel" in names else "required"
    value = field.default
    if isinstance(value, tuple):
        value = value[0]
    return code(str(value).lower() if isinstance(value, bool) else value)


def _least(spec: type[LayerSpec], field: dataclasses.Field[Any], hints: Mapping[str, Any]) -> str:
    """The smallest number that the constructor takes."""
    widths = {int: 0, Pair: 2, Padding: 2, Shape: 3}
    if hints[field.name] not in widths:
        return ""
    for probe in PROBES:
        value = (probe,) * widths[hints[field.name]] or probe
        try:
            spec(**{**_legal(spec), field.name: value})
        except ValueError:
            continue
        return str(probe)
    return ""


def unsound() -> str:
    """Networks that are refused whatever the NPU."""
    rows = [
        (what, code(text), _bare(refusal(functools.partial(_graph, text), YamlError)))
        for what, text in UNSOUND
    ]
    return table(("what", "layers", "answer"), rows)


def unfit() -> str:
    """Networks that an NPU is too small for."""
    rows = []
    for what, layers, given, bits in UNFIT:
        network = shape_only(_graph(layers), Quantisation(4, bits), 8)
        config = NpuConfig(**{**ROOMY, **given})
        answer = refusal(functools.partial(plan, network, config), InfeasibleError)
        (npu,) = (code(f"{name}: {value}") for name, value in given.items())
        rows.append((what, npu, answer.splitlines()[0]))
    return table(("too much of", "on an NPU of", "answer"), rows)


def limits() -> str:
    """What the instruction set can say at most, for every NPU."""
    rows = [(LEVEL_DOCS[level], f"{1 << bits:,}") for level, bits in COUNT_BITS.items()]
    positions = (1 << (COLUMN_BITS - 1)) - 1
    rows += [
        ("columns of a layer's input", f"{positions:,}"),
        ("rows of a layer's input in one strip", f"{positions:,}"),
        ("tensors that a layer adds", str(MAX_SOURCES)),
    ]
    return table(("of one layer", "at most"), rows)


def alternatives() -> str:
    """Words of other tools for layers and their keys, and what stands for them here."""
    return table(("word", "instead"), [(code(word), hint) for word, hint in ALTERNATIVES.items()])


GENERATORS: Mapping[str, Generator] = {
    "layers": all_layers,
    "layers-refused": unsound,
    "layers-unfit": unfit,
    "layers-limits": limits,
    "alternatives": alternatives,
}
