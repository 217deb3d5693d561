"""Cycles and memory use of a network on an NPU, from its shapes alone.

``plan`` maps the layers onto the array and the buffers (``mapping``), resorts to depth-first tiling
where feature maps exceed activation memory (``tiling``), writes the program and adds up its exact
cycles. It takes the fastest feasible schedule over three ways to send the input image: as it is,
with its columns unfolded, with rows and columns unfolded (im2col by the host).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from codesign.compiler import checks
from codesign.compiler.checks import BufferUse
from codesign.compiler.mapping.schedule import Schedule, schedule
from codesign.compiler.mapping.unfolding import unfoldings
from codesign.compiler.program.instructions import ProgramStep, program_steps, program_words
from codesign.compiler.program.memory import waits
from codesign.compiler.program.stream import interval_cycles, stream_steps, wait_cycles
from codesign.compiler.tiling.segments import Segment
from codesign.compiler.tiling.tiled import tiled
from codesign.results import Infeasible, InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import DEPTH_RANGES


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
    """Bit-serial passes over its weights, one per digit."""
    utilisation: float
    """Used share of the array's products, 0..1: macs * passes, less the share of weight words that
    the program leaves out, divided by cycles * NpuConfig.macs."""
    split: bool
    """True if all pixel lanes compute results; False if only those of lane 0 are kept."""


@dataclass(frozen=True)
class Plan:
    """A network mapped onto an NPU, with its program, cycles and memory use.

    Made by ``plan`` from shapes alone, or by ``zeros.trim.trimmed`` for the weights.

    >>> from pathlib import Path
    >>> from codesign.design import load
    >>> from models.integer.lower import shape_only
    >>> design = load(Path("examples/digits_tiny.yaml"))
    >>> network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    >>> planned = plan(network, design.npu)
    >>> planned.cycles, planned.use.activation_depth, planned.layers[1].cycles
    (1973, 96, 1202)
    """

    layers: tuple[LayerPlan, ...]
    cycles: int
    """Cycles of one image from start to END, stalls not counted."""
    macs: int
    """Multiplications of all layers, for one image."""
    utilisation: float
    """Used share of the array's products, 0..1, over all cycles, LOAD and EMIT included."""
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
        """Cycles from image to image, back to back, stalls included; None if ``stream`` is None.

        Exact if the LOAD takes no longer than the layers beside it, else an estimate
        (stream.wait_cycles).
        """
        if not self.stream:
            return None
        config = self.schedule.config
        return interval_cycles(config, self.stream) + wait_cycles(config, self.stream)


def plan(network: IntegerNetwork, config: NpuConfig) -> Plan:
    """Map ``network`` onto ``config`` by its shapes and return the fastest plan that fits.

    Weights matter in one case alone: a 1-bit layer runs in one pass on an NPU with
    ``binary_weights`` only if none of them is 0. Raises InfeasibleError with every reason found.
    """
    depths = {name: getattr(config, name) for name in DEPTH_RANGES}
    return plan_of(*_schedule(network, config, config.activation_depth, depths))


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


def minimal_depths(network: IntegerNetwork, config: NpuConfig) -> dict[str, int]:
    """Return the least memory depths of the fastest schedule, powers of two by NpuConfig field.

    ``dataclasses.replace(config, **minimal_depths(network, config))`` is an NPU that fits the
    network. The depths of ``config`` itself are no limits; only with a memory port its weight_depth
    counts, as weights that do not fit it are fetched in parts of half of it. Raises InfeasibleError
    for constraints that deeper memories do not remove, and for depths beyond what NpuConfig allows.
    """
    largest = {name: high for name, (_, high) in DEPTH_RANGES.items()}
    _, _, use = _schedule(network, config, None, largest)
    return use.depths()


def _schedule(
    network: IntegerNetwork,
    config: NpuConfig,
    activation_depth: int | None,
    depths: dict[str, int],
) -> tuple[Schedule, tuple[ProgramStep, ...], BufferUse]:
    """Return the fastest feasible schedule over the three input layouts, its program and memory.

    activation_depth: limit for schedule and tiling in words per bank, None for no limit; depths:
    limits of all memories. Raises InfeasibleError with every constraint that the plain input layout
    violates.
    """
    reasons = tuple(checks.source_reasons(network))
    if reasons:
        raise InfeasibleError(reasons)
    reasons = tuple(checks.number_reasons(network, config))
    options = []
    against: tuple[Infeasible, ...] = ()
    segments: dict[range, Segment | None] = {}
    for unfolded in unfoldings(network):
        planned = schedule(unfolded, config, activation_depth)
        if activation_depth and planned.words > activation_depth and config.memory_tiles:
            planned = tiled(unfolded, config, activation_depth, segments) or planned
        steps = program_steps(planned)
        use = BufferUse.of(planned, steps)
        found = (
            *checks.depth_reasons(planned, use, depths),
            *checks.field_reasons(config, steps),
        )
        if not found:
            options.append((planned, steps, use))
        elif unfolded.window is None:
            against = found
    if reasons or not options:
        raise InfeasibleError((*reasons, *against))
    return min(options, key=_run_cycles)


def _run_cycles(option: tuple[Schedule, tuple[ProgramStep, ...], BufferUse]) -> int:
    """Return the cycles of one image, by which options are compared.

    Stalls for the memory port count only if the network is tiled, where options differ in them.
    """
    planned, steps, _ = option
    waiting = sum(waits(planned.config, steps)) if planned.moves else 0
    return waiting + sum(step.cycles for step in steps)
