"""Plan: a network mapped onto an NPU, with its program, exact cycles and memory use.

``plan.plan`` finds the fastest; ``plan_of`` adds up the cycles of any schedule and its program.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from codesign.compiler.checks import BufferUse
from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.program.instructions import ProgramStep, program_words
from codesign.compiler.program.memory import waits
from codesign.compiler.program.stream import (
    interval_cycles,
    load_wait_cycles,
    stream_steps,
    wait_cycles,
)
from rtl_gen import timing
from rtl_gen.isa.opcodes import Opcode


@dataclass(frozen=True)
class LayerPlan:
    """Cycles and utilisation of one MacLayer. Made by ``plan``."""

    name: str
    op: str
    cycles: int
    """Exact cycles of its LAYER instructions, stalls not counted."""
    macs: int
    """Multiplications of the layer's definition, for one image."""
    passes: int
    """Bit-serial passes over its weights, one per digit, before zero digits are left out."""
    utilisation: float
    """Used share of the array's products, 0..1: macs * passes, less the share of weight words that
    the program leaves out, divided by cycles * NpuConfig.macs."""
    split: bool
    """True if all pixel lanes compute results; False if only those of lane 0 are kept."""


@dataclass(frozen=True)
class Plan:
    """A network mapped onto an NPU, with its program, cycles and memory use.

    Made by ``plan``.

    >>> from pathlib import Path
    >>> from codesign.compiler import plan
    >>> from codesign.design import load
    >>> from models.integer.lower import shape_only
    >>> design = load(Path("examples/digits_tiny.yaml"))
    >>> network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    >>> planned = plan(network, design.npu)
    >>> planned.cycles, planned.use.activation_depth, planned.layers[1].cycles
    (1973, 96, 1202)
    """

    layers: tuple[LayerPlan, ...]
    """One for each MacLayer in order; in a tiled network for each layer of each band."""
    cycles: int
    """Cycles of one image from start to END, stalls not counted."""
    macs: int
    """Multiplications of all layers, for one image; rows that two bands compute count in both."""
    utilisation: float
    """Used share of the array's products over all cycles, those of LOAD and EMIT included."""
    use: BufferUse
    schedule: Schedule
    steps: tuple[ProgramStep, ...]
    """The program, one step per instruction."""

    @property
    def memory_wait_cycles(self) -> int:
        """Stall cycles of one image for the memory port, at a latency of memory.LATENCY_CYCLES."""
        return sum(waits(self.schedule.config, self.steps))

    @cached_property
    def stream(self) -> tuple[ProgramStep, ...] | None:
        """The program for images back to back; None if activation memory has no room for it.

        It never has in a tiled network.
        Program memory is never the limit: the traced program is longer from three layers on, and
        with fewer layers both fit the same power of two.
        """
        return stream_steps(self.schedule, self.steps)

    @property
    def program_words(self) -> int:
        """Words of program memory that the longest of the programs takes."""
        return max(self.use.program_depth, program_words(self.schedule.config, self.stream or ()))

    @property
    def interval_cycles(self) -> int | None:
        """Cycles from image to image, back to back, stalls included; None without that program.

        Exact if the LOAD takes no longer than the layers beside it (``waits_for_images``), else an
        estimate, too low (stream.wait_cycles).
        """
        if not self.stream:
            return None
        config = self.schedule.config
        return interval_cycles(config, self.stream) + wait_cycles(config, self.stream)

    @property
    def waits_for_images(self) -> bool:
        """True if layers wait for the next image's transfer, so that the rate is an estimate."""
        return bool(self.stream) and load_wait_cycles(self.schedule.config, self.stream or ()) > 0


def plan_of(planned: Schedule, steps: tuple[ProgramStep, ...], use: BufferUse) -> Plan:
    """Return the Plan of a schedule and its program ``steps``, whose cycles are added up here.

    use: memory use of both (``BufferUse.of``), which the plan carries unchanged.
    """
    config = planned.config
    cycles, walked = Counter[str](), Counter[int]()
    for step in steps:
        if step.instruction.opcode is Opcode.LAYER:
            assert step.tensor is not None
            cycles[step.tensor] += step.cycles
    for part in planned.parts:
        walked[part.layer] += part.weight_words
    products = [
        shape.macs * tile.passes * walked[shape.index] / tile.weight_words
        for shape, tile in zip(planned.shapes, planned.tiles, strict=True)
    ]
    layers = tuple(
        LayerPlan(
            name=shape.layer.name,
            op=shape.layer.op,
            cycles=cycles[shape.layer.output],
            macs=shape.macs,
            passes=tile.passes,
            utilisation=products[shape.index] / (cycles[shape.layer.output] * config.macs),
            split=shape.layer.name in planned.strips.split,
        )
        for shape, tile in zip(planned.shapes, planned.tiles, strict=True)
    )
    total = timing.START_CYCLES + sum(step.cycles for step in steps)
    macs = sum(layer.macs for layer in layers)
    return Plan(layers, total, macs, sum(products) / (total * config.macs), use, planned, steps)
