"""Declaration of a search space in YAML: lists of choices for network, bit widths and NPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codesign.results import UserError
from codesign.search.space.choices import (
    ACCUMULATOR,
    DENSE,
    GHOST,
    LATER,
    OF_WEIGHTS,
    PLAIN,
    PORT,
    STACK,
    WEIGHT_DEPTH,
    check,
)
from codesign.search.space.parameters import Choice, Combination, Parameter, Requirement
from models.files import yaml_io
from models.files.nodes import build
from models.files.reading import quoted
from rtl_gen.parameters import (
    MEMORY_PORT_BITS,
    MULTIPLIERS,
)

PerStage = tuple[Choice, ...] | tuple[tuple[Choice, ...], ...]
"""Choices of a parameter of stages: one list for all stages, or one list for each stage."""
STAGE_FIELDS = ("convs", "channels", "kernels", "residual", "blocks", "halve")
"""Fields of NetworkChoices of which each stage has a choice of its own."""

SMALL_IMAGE, PHOTO = 16, 32
"""Images of several rows and columns are searched in the space "digits" with fewer rows or columns
than SMALL_IMAGE, in "photos" with several channels and at least PHOTO of both, else "images"."""


@dataclass(frozen=True)
class NetworkChoices:
    """Choices of topology: a chain of stages, each of a few convolutions and one down-sampling.

    What is chosen for each stage (STAGE_FIELDS) takes one list of choices for all stages, or a list
    of lists, one for each of the most stages.

    >>> load_declaration("digits").network.kernels
    (3, 5)
    >>> load_declaration("digits").network.of_stage("channels", 2)[:3]
    (8, 12, 16)
    """

    stages: tuple[int, ...]
    """Number of stages."""
    convs: PerStage
    """Convolutions per stage; one choice for each stage."""
    channels: PerStage
    """Output channels; one choice for each stage."""
    kernels: PerStage
    """Odd kernel sizes, over rows and columns alike (1 over a side of one pixel); one choice for
    each stage."""
    pooling: tuple[str, ...]
    """Down-sampling, one of POOLINGS; one choice for the network."""
    residual: PerStage
    """``true``: a stage of two or more convolutions adds the output of its first one to its last
    one's; ``projection``: it adds its input, through a pointwise convolution; one choice for each
    stage."""
    head: tuple[str, ...]
    """Input of the hidden layer or, without one, of the classifier, one of HEADS."""
    hidden: tuple[int, ...]
    """Features of the hidden fully connected layer; 0 for none."""
    blocks: PerStage = (PLAIN,)
    """What each convolution of a stage is made of, one of BLOCKS; one choice for each stage."""
    halve: PerStage = (True,)
    """False: a stage keeps the size of its map; one choice for each stage. A map with a side of one
    pixel, where images have more, is never halved."""

    def of_stage(self, name: str, stage: int) -> tuple[Choice, ...]:
        """Return the choices of a field of STAGE_FIELDS for a stage, whose number starts at 1."""
        found: PerStage = getattr(self, name)
        own = [one for one in found if isinstance(one, tuple)]
        return own[stage - 1] if own else tuple(one for one in found if not isinstance(one, tuple))


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
    sparsity: tuple[str, ...] | tuple[tuple[str, ...], ...] = (DENSE,)
    """N:M patterns of the weights of all layers except the first convolution: one choice for the
    network (no gene if it is ``dense`` alone), or a list for each stage and a last one for the
    fully connected layers, of which each has a choice."""

    @property
    def by_stage(self) -> bool:
        """True if stages have patterns of their own."""
        return isinstance(self.sparsity[0], tuple)

    def patterns(self, stage: int) -> tuple[Choice, ...]:
        """Return the patterns that a stage, from 1, may have; those of the network without lists.

        Stage 0 stands for the fully connected layers.
        """
        own = [one for one in self.sparsity if isinstance(one, tuple)]
        return own[stage - 1] if own else tuple(self.sparsity)  # type: ignore[arg-type]


@dataclass(frozen=True)
class NpuChoices:
    """Choices of NPU parameters (rtl_gen.config.NpuConfig).

    Memory depths, activation bits, passes of wide inputs, binary weights of the array and post
    units' thresholds follow from the network. Feature maps stay on chip (no ``memory_tiles``).

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
    depthwise_taps: tuple[int, ...] = (1,)
    """Kernel columns that depthwise layers compute at once; 1 where the array does not allow 3."""
    wide_inputs: tuple[bool, ...] = (False,)
    """True: an image of more bits than all other activations does not widen the array, but takes
    several activation digits (wide_input_passes), where the first layer's weights allow it."""
    array_sparsity: tuple[str, ...] = (OF_WEIGHTS,)
    """N:M pattern of the array, dense where its M does not divide the lanes: ``weights``: that of
    the layers, of different ones the densest; else layers that are denser than the array take
    several cycles per tap."""
    memory_port_bits: tuple[int, ...] = (0,)
    """Width of a port to external memory, from which weights come that do not fit weight memory;
    0: none, all weights are on chip."""
    weight_depth: tuple[int, ...] = (512,)
    """Least words of weight memory, powers of two, of an NPU with a memory port; more where half of
    them is less than the weights of a tile."""
    accumulator_bits: tuple[int, ...] = (0,)
    """Most bits of the accumulators, which training keeps to; 0: the sums of any weights fit. No
    more are taken than these need, nor fewer than training can keep to."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the fields that are genes: those with a default only where there is a choice.

        ACCUMULATOR, which the training depends on, is a gene of the network instead.
        """
        every = (field for field in dataclasses.fields(self) if field.name != ACCUMULATOR)
        return tuple(one.name for one in every if getattr(self, one.name) != one.default)

    def declared(self) -> dict[str, Any]:
        """Return the choices as JSON values, those of LATER only where there is one."""
        found = dataclasses.asdict(self)
        for name in LATER:
            if found[name] == getattr(NpuChoices, name):
                del found[name]
        return found

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters of ``genes``, in their order."""
        for name in self.genes:
            needs = ((PORT, min(MEMORY_PORT_BITS[1:])),) if name == WEIGHT_DEPTH else ()
            yield Parameter(name, getattr(self, name), needs)


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
    forbid: tuple[Combination, ...] = ()
    """Combinations that no feasible design has, by parameter of the SearchSpace."""
    require: tuple[Requirement, ...] = ()
    """Combinations that a feasible design has where it has others."""

    def __post_init__(self) -> None:
        if self.max_macs < 1:
            raise ValueError(f"max_macs must be >= 1, not {self.max_macs}")
        for part in (self.network, self.bits, self.npu):
            for field in dataclasses.fields(part):
                self._check(field.name, getattr(part, field.name))
        self._check_blocks()
        if WEIGHT_DEPTH in self.npu.genes and not max(self.npu.memory_port_bits):
            raise ValueError(f"npu.{WEIGHT_DEPTH} needs npu.{PORT} above 0")

    def _check(self, name: str, listed: PerStage) -> None:
        """Raise ValueError unless the choices of a parameter are different and allowed."""
        lists = [one for one in listed if isinstance(one, tuple)]
        if lists and name in (*STAGE_FIELDS, "sparsity"):
            most, more = max(self.network.stages), int(name == "sparsity")
            if len(lists) != len(listed) or len(lists) != most + more:
                also = " and one for the fully connected layers" if more else ""
                raise ValueError(
                    f"{name} must list choices, or one list for each of {most} stages{also}, "
                    f"not {len(lists)} lists"
                )
        every: Sequence[Sequence[object]] = lists or [listed]
        for values in every:
            if not values or len(set(values)) < len(values):
                raise ValueError(f"{name} must list one or more different choices")
            for value in values:
                check(name, value)

    def _check_blocks(self) -> None:
        """Raise ValueError for channels that a block of the same stage cannot have."""
        for stage in range(1, max(self.network.stages) + 1):
            of = {name: self.network.of_stage(name, stage) for name in STAGE_FIELDS}
            channels = [int(number) for number in of["channels"]]
            odd = [number for number in channels if number % 2]
            if GHOST in of["blocks"] and odd:
                raise ValueError(f"channels must be even in stages of ghost blocks, not {odd[0]}")
            convs = max(int(number) for number in of["convs"])
            if STACK in of["blocks"] and min(channels) < convs:
                raise ValueError(
                    f"channels must be >= convs in stages of dense blocks, not {min(channels)}"
                )


def shipped_name(shape: tuple[int, int, int]) -> str:
    """Return the name of the shipped space for examples of ``shape`` (channels, rows, columns).

    "tables" for one pixel, "signals" for one row or one column, else by SMALL_IMAGE and PHOTO.
    """
    if shape[1:] == (1, 1):
        return "tables"
    if min(shape[1:]) == 1:
        return "signals"
    if min(shape[1:]) < SMALL_IMAGE:
        return "digits"
    return "photos" if shape[0] > 1 and min(shape[1:]) >= PHOTO else "images"


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
