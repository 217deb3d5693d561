"""What a search may pick, declared in YAML: lists of choices for network, bits and NPU."""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.results import UserError
from models import yaml_io
from models.quantisation.plan import MAX_BITS
from rtl_gen.parameters import CHOICES, MULTIPLIERS, RANGES, SPARSITIES

Choice = bool | int | str

POOLINGS = ("max", "stride")
"""How a stage halves its map: 2x2 max pooling after it, or stride 2 in its first convolution."""
DENSE = next(iter(SPARSITIES))
HEADS = ("average", "flatten")
"""What the classifier sees: the mean of each channel, or every position."""

SMALL_IMAGE = 16
"""Images of fewer rows or columns than this are searched in the space "digits"."""


@dataclass(frozen=True)
class NetworkChoices:
    """Topologies: a chain of stages, each of a few convolutions and one halving of the map."""

    stages: tuple[int, ...]
    convs: tuple[int, ...]
    """Convolutions per stage."""
    channels: tuple[int, ...]
    """Output channels; one choice for each stage."""
    kernels: tuple[int, ...]
    """Odd kernel sizes; one choice for each stage."""
    pooling: tuple[str, ...]
    residual: tuple[bool, ...]
    """Whether a stage of two or more convolutions adds its first one's output to its last one's."""
    head: tuple[str, ...]
    hidden: tuple[int, ...]
    """Features of the hidden linear layer; 0 is none."""


@dataclass(frozen=True)
class BitChoices:
    """Bits: weights of every layer and activations of every convolution, chosen one by one."""

    input: tuple[int, ...]
    weights: tuple[int, ...]
    activations: tuple[int, ...]
    sparsity: tuple[str, ...] = (DENSE,)
    """Patterns of the weights of all layers but the first convolution; ``dense`` alone is no
    gene."""


@dataclass(frozen=True)
class NpuChoices:
    """NPU knobs. Buffer depths, activation and accumulator bits, and the sparsity of the array
    follow from the network."""

    pixels: tuple[int, ...]
    lanes: tuple[int, ...]
    column_words: tuple[int, ...]
    """``columns`` as a multiple of ``lanes``; capped at 128 columns."""
    weight_digit_bits: tuple[int, ...]
    post_units: tuple[int, ...]
    """Wished units; one that does not divide ``lanes`` becomes their greatest common divisor."""
    scale_bits: tuple[int, ...]
    multiplier: tuple[str, ...]
    """Wished forms; where array or bits do not allow one (rtl_gen.packing), the next fewer products
    a DSP slice."""


@dataclass(frozen=True)
class SpaceDeclaration:
    """A space file. Raises ValueError for an empty list, a double or a senseless choice."""

    network: NetworkChoices
    bits: BitChoices
    npu: NpuChoices
    max_macs: int = 8_000_000
    """Multiply-accumulates of one image at most: what training on a few cores can afford."""

    def __post_init__(self) -> None:
        if self.max_macs < 1:
            raise ValueError(f"max_macs must be >= 1, not {self.max_macs}")
        bits = (1, MAX_BITS)
        limits: dict[str, tuple[int, int]] = {
            **RANGES,
            "stages": (0, 6), "convs": (1, 4), "channels": (1, 1024), "kernels": (1, 11),
            "hidden": (0, 4096), "input": bits, "weights": bits, "activations": bits,
            "column_words": (1, RANGES["columns"][1] // RANGES["lanes"][0]),
        }  # fmt: skip
        words: dict[str, tuple[Choice, ...]] = {
            **CHOICES, "pooling": POOLINGS, "head": HEADS, "residual": (False, True),
        }  # fmt: skip
        for part in (self.network, self.bits, self.npu):
            for field in dataclasses.fields(part):
                values = getattr(part, field.name)
                if not values or len(set(values)) < len(values):
                    raise ValueError(f"{field.name} must list one or more different choices")
                for value in values:
                    _check(field.name, value, limits, words)


def _check(
    name: str,
    value: Choice,
    limits: Mapping[str, tuple[int, int]],
    words: Mapping[str, tuple[Choice, ...]],
) -> None:
    if name in words:
        if value not in words[name]:
            allowed = ", ".join(str(word) for word in words[name])
            raise ValueError(f"{name} must be of {allowed}, not {value!r}")
        return
    low, high = limits[name]
    if not low <= int(value) <= high:
        raise ValueError(f"{name} must be {low}..{high}, not {value}")
    if name == "kernels" and int(value) % 2 == 0:
        raise ValueError(f"kernels must be odd, not {value}")


def shipped_name(shape: tuple[int, int, int]) -> str:
    """The shipped space for examples of that shape (channels, rows, columns)."""
    if shape[1:] == (1, 1):
        return "tables"
    if min(shape[1:]) == 1:
        return "signals"
    return "digits" if min(shape[1:]) < SMALL_IMAGE else "images"


def with_every_multiplier(declaration: SpaceDeclaration) -> SpaceDeclaration:
    """The space with all forms of products, for budgets that have DSP slices."""
    npu = dataclasses.replace(declaration.npu, multiplier=MULTIPLIERS)
    return dataclasses.replace(declaration, npu=npu)


def dense_only(declaration: SpaceDeclaration) -> SpaceDeclaration:
    """The space without sparse weights."""
    bits = dataclasses.replace(declaration.bits, sparsity=(DENSE,))
    return dataclasses.replace(declaration, bits=bits)


def load_declaration(source: Path | str) -> SpaceDeclaration:
    """A space file by path, or a shipped one by name.

    Raises UserError for an unknown name, YamlError for a bad file.
    """
    if isinstance(source, Path):
        return yaml_io.build(yaml_io.load(source), SpaceDeclaration)
    folder = importlib.resources.files("codesign.search.space.presets")
    names = sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name[-5:] == ".yaml"
    )
    if source not in names:
        raise UserError(f"space must be a YAML file or one of {', '.join(names)}, not {source!r}")
    text = (folder / f"{source}.yaml").read_text(encoding="utf-8")
    return yaml_io.build(yaml_io.load(text, f"{source}.yaml"), SpaceDeclaration)
