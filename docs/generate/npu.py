"""NPU parameters with defaults and ranges, and what they ask of each other."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from docs.generate.markdown import Generator, code, table
from docs.generate.sources import field_docs, refusal
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import CHOICES, DEPTH_RANGES, DEPTH_STEPS, RANGES, ConfigError

CONFLICTS: tuple[dict[str, Any], ...] = (
    {"columns": 12},
    {"post_units": 3},
    {"activation_depth": 1000},
    {"sparsity": "4:8", "lanes": 12, "columns": 12},
    {"depthwise_taps": 3, "lanes": 2},
    {"depthwise_taps": 3, "sparsity": "2:4"},
    {"memory_tiles": True},
    {"binary_weights": True, "weight_digit_bits": 2},
    {"binary_weights": True, "weight_digit_bits": 1, "multiplier": "dsp"},
    {"wide_input_passes": 4},
    {"wide_input_passes": 1, "weight_digit_bits": 1},
    {"multiplier": "dsp2", "sparsity": "2:4"},
    {"multiplier": "dsp4", "pixels": 3},
    {"multiplier": "dsp4", "weight_digit_bits": 8},
    {"multiplier": "dsp4", "weight_digit_bits": 4, "activation_bits": 8},
    {"requantisation": "thresholds"},
    {"requantisation": "thresholds", "activation_bits": 2, "activation_tables": 1},
    {
        "requantisation": "thresholds", "activation_bits": 3, "lanes": 64, "columns": 64,
        "post_units": 64, "channel_depth": 2048,
    },
)  # fmt: skip
"""One combination for each rule; ``refused`` runs them."""


def parameters() -> str:
    """Every field of NpuConfig."""
    docs = field_docs(NpuConfig)
    rows = [
        (
            code(field.name),
            code(_plain(field.default)),
            _range(field.name),
            docs.get(field.name, ""),
        )
        for field in dataclasses.fields(NpuConfig)
    ]
    return table(("key", "default", "range", "meaning"), rows)


def _range(name: str) -> str:
    if name in CHOICES:
        return ", ".join(_plain(choice) for choice in CHOICES[name])
    if name in DEPTH_RANGES:
        low, high = DEPTH_RANGES[name]
        step = DEPTH_STEPS.get(name)
        multiple = f" or a multiple of {step}" if step else ""
        return f"{low}..{high}, a power of two{multiple}"
    low, high = RANGES[name]
    return f"{low}..{high}"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _yaml(value: object) -> str:
    """In quotes where YAML would read a number in base 60."""
    return f'"{value}"' if ":" in str(value) else _plain(value)


def refused() -> str:
    """What does not go together, in the words of the code."""
    rows = []
    for given in CONFLICTS:
        text = ", ".join(code(f"{name}: {_yaml(value)}") for name, value in given.items())
        rows.append((text, refusal(functools.partial(NpuConfig, **given), ConfigError)))
    return table(("set (the others at their default)", "answer"), rows)


GENERATORS: Mapping[str, Generator] = {"npu": parameters, "npu-refused": refused}
