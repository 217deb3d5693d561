"""Images back to back: the program that loads and emits beside the layers of another image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.program.instructions import ProgramStep, make_step, program_words
from codesign.compiler.program.memory import waits
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import Opcode


def stream_steps(
    schedule: Schedule, steps: Sequence[ProgramStep]
) -> tuple[ProgramStep, ...] | None:
    """``steps`` as a loop over the images of a run; None where the image's words are needed for
    other tensors (``schedule.keeps_input``).

    The next image is loaded after the last layer that reads this one. EMIT goes on beside the
    next image's first layers, where that LOAD, which waits for it, comes before the results are
    written again.
    """
    if not schedule.keeps_input:
        return None
    load, *body, emit, end = steps
    config, network = schedule.config, schedule.network
    used_until = schedule.storage.storages[schedule.storage.views[network.input].storage].last
    writes_results = [shape.layer.raw for shape in schedule.shapes].index(True)
    ahead = dataclasses.replace(_ahead(config, load), name=f"{load.name} ahead")
    if used_until <= writes_results:
        emit = _ahead(config, emit)
    names = [shape.layer.output for shape in schedule.shapes[:used_until]]
    reads = max(i for i, step in enumerate(body, start=1) if step.tensor in names)
    target = {"target": program_words(config, [load]), "index": 1}
    again = make_step(config, "repeat", None, Opcode.REPEAT, target)
    return (load, *body[:reads], ahead, *body[reads:], emit, again, end)


def interval_cycles(config: NpuConfig, steps: Sequence[ProgramStep]) -> int:
    """CYCLES from one image to the next: exact, what a run of n images adds n - 1 times."""
    return sum(timing.instruction_cycles(config, s.instruction, last=False) for s in _body(steps))


def wait_cycles(config: NpuConfig, steps: Sequence[ProgramStep]) -> int:
    """STALLS an image when the host is never late: exactly those for weights from memory, and an
    estimate of the cycles that a LOAD takes longer than the layers beside it. (A word that meets a
    layer's write waits a cycle.)"""
    body = _body(steps)
    fetching = sum(waits(config, body))
    opcodes = [step.instruction.opcode for step in body]
    load, emit = opcodes.index(Opcode.LOAD), opcodes.index(Opcode.EMIT)
    beside = sum(
        timing.instruction_cycles(config, s.instruction, last=False) for s in body[load + 1 : emit]
    )
    to_start = timing.issue_cycles(config, Opcode.EMIT) - 1
    plain = dataclasses.replace(
        body[load].instruction, fields={**body[load].instruction.fields, "ahead": 0}
    )
    beats = timing.instruction_cycles(config, plain) - timing.issue_cycles(config, Opcode.LOAD)
    return fetching + max(0, beats - beside - to_start)


def _body(steps: Sequence[ProgramStep]) -> Sequence[ProgramStep]:
    repeat = next(s for s in steps if s.instruction.opcode is Opcode.REPEAT)
    return steps[repeat.values["index"] : steps.index(repeat) + 1]


def _ahead(config: NpuConfig, step: ProgramStep) -> ProgramStep:
    values = {**step.values, "ahead": 1}
    return make_step(config, step.name, step.tensor, step.instruction.opcode, values)
