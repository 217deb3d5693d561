"""Trimming: the program with the fewest cycles that leaves out zero weights.

A LAYER walks the union of what its tiles need (``needs``), so a layer is cut between tiles if the
issue of one more LAYER takes fewer cycles than it saves. Dynamic programming finds the best cuts of
all layers within the room that program memory has.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np

from codesign.compiler.checks import BufferUse
from codesign.compiler.mapping.parts import TileRun, parts
from codesign.compiler.mapping.schedule import Schedule, walk_cycles
from codesign.compiler.planned import Plan, plan_of
from codesign.compiler.program.instructions import program_steps
from codesign.compiler.zeros.needs import Need, layer_needs
from rtl_gen import timing
from rtl_gen.isa.encoding import instruction_words
from rtl_gen.isa.opcodes import Opcode
from rtl_gen.parameters import DEPTH_RANGES


def trimmed(planned: Plan) -> Plan:
    """Return ``planned`` without the work that zero weights make unnecessary, where that gains.

    The result takes no more cycles, stalls for memory included, and fits all memories. The plan of
    a tiled network is returned unchanged.
    """
    schedule = planned.schedule
    if schedule.moves:
        return planned
    config, layers = schedule.config, len(schedule.shapes)
    needs = [need for index in range(layers) for need in layer_needs(schedule, index)]
    each = [Opcode.LAYER, Opcode.FETCH] if config.memory_port_bits else [Opcode.LAYER]
    run_words = sum(instruction_words(config, opcode) for opcode in each)
    more = (config.program_depth - planned.program_words) // run_words
    options = [planned, *(_option(schedule, needs, most) for most in (layers, layers + more))]
    return min(
        (option for option in options if _fits(option)),
        key=lambda option: (option.cycles + option.memory_wait_cycles, option.use.weight_depth),
    )


def _fits(option: Plan) -> bool:
    config = option.schedule.config
    depths = {name: getattr(config, name) for name in DEPTH_RANGES}
    return option.program_words <= config.program_depth and all(
        need <= depths[name] for name, need in option.use.needs().items()
    )


def _option(schedule: Schedule, needs: Sequence[Need], most: int) -> Plan:
    """Return the plan whose layers are cut into at most ``most`` runs, all layers together.

    needs: those of all layers, in order. That it fits the memories is not checked. If weights come
    from memory, the runs that take fewest cycles may stall for longest, so ``trimmed`` compares
    several options.
    """
    runs = trimmed_runs(schedule, needs, most)
    option = dataclasses.replace(schedule, parts=parts(schedule.config, schedule.tiles, runs))
    steps = program_steps(option)
    return plan_of(option, steps, BufferUse.of(option, steps))


def trimmed_runs(schedule: Schedule, needs: Sequence[Need], most: int) -> tuple[TileRun, ...]:
    """Return at most ``most`` runs that take the fewest cycles, and among these the fewest runs.

    needs: those of all layers, in order, each of which stays whole; a run joins successive ones of
    one layer. most: at least the number of layers. Stalls are not counted. Dynamic programming over
    the end of the last run and the number of runs.
    """
    most = min(most, len(needs))
    cycles = np.full((len(needs) + 1, most + 1), np.inf)
    cycles[0, 0] = 0
    begins = np.zeros(cycles.shape, np.int64)
    for end in range(1, len(needs) + 1):
        found, joined = cycles[end, 1:], None
        for begin in range(end - 1, -1, -1):
            if needs[begin].layer != needs[end - 1].layer:
                break
            joined = needs[begin] + joined if joined else needs[begin]
            option = cycles[begin, :-1] + run_cycles(schedule, joined.run)
            better = option < found
            found[better], begins[end, 1:][better] = option[better], begin
    runs, end = list[TileRun](), len(needs)
    for count in range(int(cycles[-1].argmin()), 0, -1):
        begin = int(begins[end, count])
        runs.append(reduce(add, needs[begin:end]).run)
        end = begin
    return tuple(reversed(runs))


def run_cycles(schedule: Schedule, run: TileRun) -> int:
    """Return the cycles of a run as one LAYER, its issue included, stalls not counted."""
    shape, tile = schedule.shapes[run.layer], schedule.tiles[run.layer]
    rows, drained = schedule.strips.loop_rows(shape), schedule.strips.drain_pixels(shape)
    walk = walk_cycles(
        schedule.config, shape, tile, rows, drained, run.tiles, tile.taps_of(run.extent)
    )
    return timing.overhead_cycles(schedule.config, Opcode.LAYER) + walk
