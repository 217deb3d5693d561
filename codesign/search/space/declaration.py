"""Declaration of a search space in YAML: lists of choices for network, bit widths and NPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codesign.results import UserError
from models.files import yaml_io
from models.files.nodes import build
from models.files.reading import quoted
from models.quantisation.plan import MAX_BITS
from rtl_gen.parameters import CHOICES, MULTIPLIERS, RANGES, SPARSITIES

Choice = bool | int | str

POOLINGS = ("max", "stride")
"""Down-sampling of a stage, by 2 along sides of several pixels: max pooling at its end, or stride
in its first convolution."""
DENSE = next(iter(SPARSITIES))
"""Pattern of weights without N:M sparsity."""
HEADS = ("average", "flatten")
"""Input of the fully connected layers: global average of each channel, or all positions."""

SMALL_IMAGE = 16
"""Images of several rows and columns are searched in the space "digits" if they have fewer rows or
columns than this, others in "images"."""


@dataclass(frozen=True)
class NetworkChoices:
    """Choices of topology: a chain of stages, each of a few convolutions and one down-sampling.

    >>> load_declaration("digits").network.kernels
    (3, 5)
    """

    stages: tuple[int, ...]
    """Number of stages."""
    convs: tuple[int, ...]
    """Convolutions per stage; one choice for each stage."""
    channels: tuple[int, ...]
    """Output channels; one choice for each stage."""
    kernels: tuple[int, ...]
    """Odd kernel sizes, over rows and columns alike (1 over a side of one pixel); one choice for
    each stage."""
    pooling: tuple[str, ...]
    """Down-sampling, one of POOLINGS; one choice for the network."""
    residual: tuple[bool, ...]
    """True: a stage of two or more convolutions adds the output of its first one to its last one's;
    one choice for each stage."""
    head: tuple[str, ...]
    """Input of the hidden layer or, without one, of the classifier, one of HEADS."""
    hidden: tuple[int, ...]
    """Features of the hidden fully connected layer; 0 for none."""


@dataclass(frozen=True)
class BitChoices:
    """Choices of bit widths, per layer for weights and activations.

    >>> BitChoices(input=(8,), weights=(2, 4), activations=(4,)).sparsity
    ('dense',)
    """

    input: tuple[int, ...]
    """Bits of the image."""
    weights: tuple[int, ...]
    """Weight bits; one choice for each convolution and fully connected layer."""
    activations: tuple[int, ...]
    """Output bits; one choice for each convolution and the hidden layer."""
    sparsity: tuple[str, ...] = (DENSE,)
    """N:M patterns of the weights of all layers except the first convolution; no gene if it is
    ``dense`` alone."""


@dataclass(frozen=True)
class NpuChoices:
    """Choices of NPU parameters (rtl_gen.config.NpuConfig).

    Memory depths, activation and accumulator bits, passes of wide inputs, sparsity and binary
    weights of the array follow from the network; it has neither column reuse nor a memory port.

    >>> load_declaration("digits").npu.pixels
    (1, 2, 3, 4, 8)
    """

    pixels: tuple[int, ...]
    lanes: tuple[int, ...]
    column_words: tuple[int, ...]
    """``columns`` as a multiple of ``lanes``; capped at 128 columns."""
    weight_digit_bits: tuple[int, ...]
    post_units: tuple[int, ...]
    """Post-processing units; the NPU has the greatest common divisor of this and ``lanes``."""
    scale_bits: tuple[int, ...]
    multiplier: tuple[str, ...]
    """Multiplier forms; where array shape, sparsity or bit widths do not allow one
    (rtl_gen.packing), the next one with fewer products per DSP slice is taken."""
    wide_inputs: tuple[bool, ...] = (False,)
    """True: an image of more bits than all other activations does not widen the array, but takes
    several activation digits (wide_input_passes), where the first layer's weights allow it; no gene
    if it is ``false`` alone."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the fields that are genes of a search."""
        names = (field.name for field in dataclasses.fields(self))
        return tuple(n for n in names if n != "wide_inputs" or self.wide_inputs != (False,))


@dataclass(frozen=True)
class SpaceDeclaration:
    """Declaration of a search space, the content of a YAML file.

    Raises ValueError for an empty list, a duplicate, an invalid choice or ``max_macs`` below 1.

    >>> load_declaration("images").max_macs
    8000000
    """

    network: NetworkChoices
    bits: BitChoices
    npu: NpuChoices
    max_macs: int = 8_000_000
    """Largest number of multiply-accumulates per image of a feasible design; limits training."""

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
            "wide_inputs": (False, True),
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
    """Return the name of the shipped space for examples of ``shape`` (channels, rows, columns).

    "tables" for one pixel, "signals" for one row or one column, else by SMALL_IMAGE.
    """
    if shape[1:] == (1, 1):
        return "tables"
    if min(shape[1:]) == 1:
        return "signals"
    return "digits" if min(shape[1:]) < SMALL_IMAGE else "images"


def with_every_multiplier(declaration: SpaceDeclaration) -> SpaceDeclaration:
    """Return the space with all multiplier forms, for budgets that have DSP slices."""
    npu = dataclasses.replace(declaration.npu, multiplier=MULTIPLIERS)
    return dataclasses.replace(declaration, npu=npu)


def dense_only(declaration: SpaceDeclaration) -> SpaceDeclaration:
    """Return the space with dense weights only, without N:M sparsity."""
    bits = dataclasses.replace(declaration.bits, sparsity=(DENSE,))
    return dataclasses.replace(declaration, bits=bits)


def load_declaration(source: Path | str) -> SpaceDeclaration:
    """Read a space file, given as a Path, or a shipped one, given by its name as text.

    Raises UserError for an unknown name, YamlError for a bad file.
    """
    if isinstance(source, Path):
        return build(yaml_io.load(source), SpaceDeclaration)
    folder = Path(__file__).parent / "presets"
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    if source not in names:
        raise UserError(
            f"space must be a YAML file or one of {', '.join(names)}, not {quoted(source)}"
        )
    return build(yaml_io.load(folder / f"{source}.yaml"), SpaceDeclaration)
