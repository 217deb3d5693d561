"""plan: what a network takes on an NPU, from shapes alone; fast enough for a search."""

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
from codesign.compiler.tiling.tiled import tiled
from codesign.results import Infeasible, InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import DEPTH_RANGES


@dataclass(frozen=True)
class LayerPlan:
    """One MacLayer on the NPU."""

    name: str
    op: str
    cycles: int
    """Exact."""
    macs: int
    """Multiplications of the layer's definition, for one image."""
    passes: int
    """Digit passes of its weights."""
    utilisation: float
    """macs * passes, but for the share that the program leaves out, / (cycles * products per cycle
    of the array, NpuConfig.macs)."""
    split: bool
    """Whether all pixel lanes compute results, or lane 0 alone."""


@dataclass(frozen=True)
class Plan:
    """A network on an NPU: from its shapes alone (``plan``), or for its weights (trim.trimmed)."""

    layers: tuple[LayerPlan, ...]
    cycles: int
    """Of one image from start to END, stream stalls not counted."""
    macs: int
    utilisation: float
    """Over the whole run, LOAD and EMIT included."""
    use: BufferUse
    schedule: Schedule
    steps: tuple[ProgramStep, ...]
    """The program, one step per instruction."""

    @property
    def memory_wait_cycles(self) -> int:
        """STALLS of one image while weights come from memory (memory.LATENCY_CYCLES)."""
        return sum(waits(self.schedule.config, self.steps))

    @cached_property
    def stream(self) -> tuple[ProgramStep, ...] | None:
        """The program for images back to back; None where activation memory lacks room for the
        next image. (Program memory never does: the traced program is longer from three layers
        on, and with fewer both fit the same power of two.)"""
        return stream_steps(self.schedule, self.steps)

    @property
    def program_words(self) -> int:
        """Words of program memory that the longest program takes."""
        return max(self.use.program_depth, program_words(self.schedule.config, self.stream or ()))

    @property
    def interval_cycles(self) -> int | None:
        """From image to image, back to back: exact where the LOAD takes no longer than the layers
        beside it, else an estimate (stream.wait_cycles)."""
        if not self.stream:
            return None
        config = self.schedule.config
        return interval_cycles(config, self.stream) + wait_cycles(config, self.stream)


def plan(network: IntegerNetwork, config: NpuConfig) -> Plan:
    """Schedule ``network`` on ``config`` by its shapes; weights are not looked at.

    Raises InfeasibleError with every reason found.
    """
    depths = {name: getattr(config, name) for name in DEPTH_RANGES}
    return plan_of(*_schedule(network, config, config.activation_depth, depths))


def plan_of(planned: Schedule, steps: tuple[ProgramStep, ...], use: BufferUse) -> Plan:
    """The figures of a schedule with its program."""
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
    """Memory depths of the fastest schedule: powers of two, by name of the NpuConfig field.

    ``dataclasses.replace(config, **minimal_depths(network, config))`` is the NPU that fits; the
    depths of ``config`` itself are not looked at. Raises InfeasibleError for what deeper memories
    cannot cure, or where they would exceed what NpuConfig allows.
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
    """The fastest schedule that nothing stands against, over all ways to send the image."""
    reasons = tuple(checks.source_reasons(network))
    if reasons:
        raise InfeasibleError(reasons)
    reasons = tuple(checks.number_reasons(network, config))
    options = []
    against: tuple[Infeasible, ...] = ()
    for unfolded in unfoldings(network):
        planned = schedule(unfolded, config, activation_depth)
        if activation_depth and planned.words > activation_depth and config.memory_tiles:
            planned = tiled(unfolded, config, activation_depth) or planned
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
    """Of one image; waits included where the schedule has an influence on them."""
    planned, steps, _ = option
    waiting = sum(waits(planned.config, steps)) if planned.moves else 0
    return waiting + sum(step.cycles for step in steps)
