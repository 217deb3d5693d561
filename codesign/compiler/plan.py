"""Cycles and memory use of a network on an NPU, from its shapes, and from its weights if known.

``plan`` maps the layers onto the array and the buffers (``mapping``), resorts to depth-first tiling
where feature maps exceed activation memory (``tiling``), writes the program and adds up its exact
cycles. It takes the fastest feasible schedule over three ways to send the input image: as it is,
with its columns unfolded, with rows and columns unfolded (im2col by the host).
"""

from __future__ import annotations

from codesign.compiler import checks
from codesign.compiler.checks import BufferUse
from codesign.compiler.mapping.schedule import Schedule, schedule
from codesign.compiler.mapping.unfolding import unfoldings
from codesign.compiler.planned import Plan, plan_of
from codesign.compiler.program.instructions import ProgramStep, program_steps
from codesign.compiler.program.memory import waits
from codesign.compiler.remedies import with_external_memory, with_least_tiles
from codesign.compiler.tiling.segments import Segment
from codesign.compiler.tiling.tiled import tiled
from codesign.compiler.zeros.trim import trimmed
from codesign.results import Infeasible, InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen.config import NpuConfig
from rtl_gen.parameters import DEPTH_RANGES


def plan(network: IntegerNetwork, config: NpuConfig) -> Plan:
    """Map ``network`` onto ``config`` and return the fastest plan that fits.

    Work that zero weights make unnecessary is left out (``zeros.trim``), so the cycles are those of
    the compiled program; of a ``blank`` network they are those of weights without such zeros, an
    upper bound. Raises InfeasibleError with every reason found; external memory is among the levers
    of a reason that it removes. Accumulators and sparsity patterns of weights are not checked.
    """

    def depths_of(option: NpuConfig) -> dict[str, int]:
        """Return the least depths of an NPU with memory options, of any program depth."""
        return _schedule(network, option, option.activation_depth, _depths(option))[2].depths()

    try:
        found = plan_of(*_schedule(network, config, config.activation_depth, _depths(config)))
    except InfeasibleError as error:
        reasons = with_least_tiles(error.reasons, config, depths_of)
        raise InfeasibleError(with_external_memory(reasons, config, depths_of)) from None
    return found if network.blank else trimmed(found)


def _depths(config: NpuConfig) -> dict[str, int]:
    return {name: getattr(config, name) for name in DEPTH_RANGES}


def minimal_depths(
    network: IntegerNetwork, config: NpuConfig, stacked: bool = False
) -> dict[str, int]:
    """Return the least memory depths of the fastest schedule, powers of two by NpuConfig field.

    stacked: that of the weights may also be 3/4 or 5/8 of a power of two, which saves block RAMs
    for a multiplexer behind them.

    ``dataclasses.replace(config, **minimal_depths(network, config))`` is an NPU that fits the
    network. The depths of ``config`` itself are no limits; only with a memory port its weight_depth
    counts, as weights that do not fit it are fetched in parts of half of it. Nothing is tiled, even
    with memory_tiles. Raises InfeasibleError for constraints that deeper memories do not remove,
    and for depths beyond what NpuConfig allows.
    """
    largest = {name: high for name, (_, high) in DEPTH_RANGES.items()}
    _, _, use = _schedule(network, config, None, largest)
    return use.depths(stacked)


def _schedule(
    network: IntegerNetwork,
    config: NpuConfig,
    activation_depth: int | None,
    depths: dict[str, int],
) -> tuple[Schedule, tuple[ProgramStep, ...], BufferUse]:
    """Return the fastest feasible schedule over the three input layouts, its program and memory.

    activation_depth: limit for schedule and tiling in words per bank, None for no limit; depths:
    limits of all memories. Raises InfeasibleError with every constraint that the plain input layout
    violates, but with those of ``source_reasons`` alone if there are any.
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

    Stalls for the memory port count only if the network is tiled, else those for weights from
    memory are left out.
    """
    planned, steps, _ = option
    waiting = sum(waits(planned.config, steps)) if planned.moves else 0
    return waiting + sum(step.cycles for step in steps)
