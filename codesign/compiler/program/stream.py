"""Program of many images back to back: transfers of one image overlap the layers of another.

LOAD and EMIT can be issued ahead (field ``ahead``): the instruction then only starts an
asynchronous transfer that runs beside the instructions behind it. The next image is loaded while
the layers of this one run, and its logits leave beside the first layers of the next one.
"""

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
    """Return the program of one image, ``steps``, as a loop over the images of a run.

    None if the image's words are not kept for the next one (``schedule.keeps_input``).
    REPEAT, behind EMIT, jumps back to the step behind the first LOAD.
    The next image is loaded behind the last layer that reads this one. EMIT is issued ahead if that
    LOAD, which waits for the EMIT, comes before the layer that writes the logits again.
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
    """Return the exact cycles from image to image, without stalls, of a program with REPEAT.

    Each further image of a run adds so many cycles.
    """
    return sum(timing.instruction_cycles(config, s.instruction, last=False) for s in _body(steps))


def wait_cycles(config: NpuConfig, steps: Sequence[ProgramStep]) -> int:
    """Return the stall cycles per image of a program with REPEAT, if the host is never late.

    They are the exact stalls for weights from memory, plus the cycles that a LOAD and an EMIT take
    longer than what runs beside them. Those of the LOAD are an estimate: each of its words that
    meets a layer's write waits one cycle more, which is not counted.
    """
    body = _body(steps)
    opcodes = [step.instruction.opcode for step in body]
    load, emit = opcodes.index(Opcode.LOAD), opcodes.index(Opcode.EMIT)
    cycles = [timing.instruction_cycles(config, s.instruction, last=False) for s in body]
    waiting = load_wait_cycles(config, steps)
    if body[emit].values["ahead"]:
        beside = sum(cycles[:load]) + sum(cycles[emit + 1 :])
        waiting += _late(config, body[emit], Opcode.LOAD, beside)
    return sum(waits(config, body)) + waiting


def load_wait_cycles(config: NpuConfig, steps: Sequence[ProgramStep]) -> int:
    """Return the stall cycles per image for the next image's LOAD, an estimate if not 0.

    Arguments: as for ``wait_cycles``.
    """
    body = _body(steps)
    opcodes = [step.instruction.opcode for step in body]
    load, emit = opcodes.index(Opcode.LOAD), opcodes.index(Opcode.EMIT)
    beside = body[load + 1 : emit]
    cycles = (timing.instruction_cycles(config, s.instruction, last=False) for s in beside)
    return _late(config, body[load], Opcode.EMIT, sum(cycles))


def _late(config: NpuConfig, step: ProgramStep, following: Opcode, beside: int) -> int:
    """Return the cycles that the next transfer, ``following``, waits for that of ``step``.

    beside: cycles of the instructions between the two.
    """
    plain = dataclasses.replace(step.instruction, fields={**step.instruction.fields, "ahead": 0})
    opcode = plain.opcode
    moving = timing.instruction_cycles(config, plain) - timing.overhead_cycles(config, opcode)
    return max(0, timing.late_cycles(config, moving, following, beside))


def _body(steps: Sequence[ProgramStep]) -> Sequence[ProgramStep]:
    repeat = next(s for s in steps if s.instruction.opcode is Opcode.REPEAT)
    return steps[repeat.values["index"] : steps.index(repeat) + 1]


def _ahead(config: NpuConfig, step: ProgramStep) -> ProgramStep:
    values = {**step.values, "ahead": 1}
    return make_step(config, step.name, step.tensor, step.instruction.opcode, values)
