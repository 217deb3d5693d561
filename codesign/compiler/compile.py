"""compile_network: a trained integer network as everything the NPU is loaded with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.parts import stored
from codesign.compiler.mapping.phases import sparsity_reasons
from codesign.compiler.mapping.schedule import Schedule
from codesign.compiler.overflow import accumulator_reasons
from codesign.compiler.plan import Plan, plan
from codesign.compiler.program.channels import channel_image
from codesign.compiler.program.instructions import (
    ProgramStep,
    program_words,
    traced_steps,
    word_beats,
)
from codesign.compiler.program.layout import LAYOUT_FORMAT, LogitsLayout, TensorLayout
from codesign.compiler.program.memory import LATENCY_CYCLES, memory_image, waits
from codesign.compiler.program.stream import interval_cycles
from codesign.compiler.program.weights import weight_image
from codesign.compiler.zeros.trim import trimmed
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS


@dataclass(frozen=True)
class Program:
    """Instructions with their words in program memory."""

    steps: tuple[ProgramStep, ...]
    words: tuple[int, ...]
    """As the bus takes them: 32 bits, low ones of a program word first."""
    starts: tuple[int, ...]
    """Program word of each step's opcode."""
    waits: tuple[int, ...]
    """STALLS of each step of a run of one image, for weights from memory."""
    interval_cycles: int | None = None
    """Of a program with REPEAT: what each further image of a run adds."""

    @property
    def cycles(self) -> int:
        """Of a run of one image, stream stalls not counted."""
        return self.log[-1]

    @property
    def log(self) -> tuple[int, ...]:
        """The cycle log after a run: CYCLES at the end of each instruction."""
        cycles = [step.cycles for step in self.steps]
        return tuple(accumulate(cycles, initial=timing.START_CYCLES))[1:]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: {"words", "cycles", "interval_cycles", "instructions": [{"index", "opcode",
        "name", "tensor", "word" (address of the opcode), "cycles", "wait_cycles", "log",
        "fields"}]}."""
        instructions = [
            {
                "index": i,
                **step.to_dict(),
                "word": self.starts[i],
                "wait_cycles": self.waits[i],
                "log": self.log[i],
            }
            for i, step in enumerate(self.steps)
        ]
        return {
            "words": len(self.words) // BUS_WORDS,
            "cycles": self.cycles,
            "interval_cycles": self.interval_cycles,
            "instructions": instructions,
        }


@dataclass(frozen=True, eq=False)
class CompiledNetwork:
    """A network ready to run on one NPU configuration."""

    name: str
    config: NpuConfig
    plan: Plan
    program: Program
    """LOAD, LAYER..., EMIT, END."""
    traced: Program
    """The same with a STORE of every layer's output; for verification."""
    stream: Program | None
    """Images back to back; None where activation memory lacks room for the next one."""
    weights: NDArray[np.uint32]
    """[words, weight_word_columns]"""
    memory: NDArray[np.uint32]
    """[words]: weights that are fetched as they are needed, all or none; room for activations."""
    channels: NDArray[np.uint32]
    """[words, 2 * post_units]"""
    input: str
    layouts: dict[str, TensorLayout]
    """Per stored tensor, concat results included."""
    logits: LogitsLayout

    def to_dict(self) -> dict[str, Any]:
        """The compiler's part of program.json (docs/isa.md)."""
        return {
            "format": LAYOUT_FORMAT,
            "network": self.name,
            "input": self.input,
            "output": self.logits.to_dict(),
            "memory": {"words": self.memory.size, "latency_cycles": LATENCY_CYCLES},
            "tensors": {name: layout.to_dict() for name, layout in self.layouts.items()},
            "programs": {name: program.to_dict() for name, program in self.programs.items()},
        }

    @property
    def programs(self) -> dict[str, Program]:
        """By their name in program.json."""
        programs = {"normal": self.program, "traced": self.traced}
        return programs | ({"stream": self.stream} if self.stream else {})


def compile_network(network: IntegerNetwork, config: NpuConfig) -> CompiledNetwork:
    """Everything to load into an NPU so that it computes ``network``; zeros that its weights have
    in the right places are left out (trim.py).

    Raises InfeasibleError with every reason found, before any image is made.
    """
    unfit = (*accumulator_reasons(network, config), *sparsity_reasons(network, config))
    try:
        planned = plan(network, config)
    except InfeasibleError as error:
        raise InfeasibleError((*error.reasons, *unfit)) from None
    if unfit:
        raise InfeasibleError(unfit)
    planned = trimmed(planned)
    schedule = planned.schedule
    weights = weight_image(schedule)
    own_parts = stored(schedule.parts, schedule.origins)
    beats = schedule.moves.beats if schedule.moves else 0
    fetched = any(part.bursts for part in own_parts)
    return CompiledNetwork(
        name=network.name,
        config=config,
        plan=planned,
        program=_program(planned.steps, config),
        traced=_program(traced_steps(schedule, planned.steps), config),
        stream=_stream(planned),
        weights=weights[:0] if fetched else weights,
        memory=memory_image(config, own_parts, weights, beats),
        channels=channel_image(schedule),
        input=network.input,
        layouts=_layouts(schedule),
        logits=_logits_layout(schedule),
    )


def _program(steps: Sequence[ProgramStep], config: NpuConfig) -> Program:
    words = [word for step in steps for word in step.instruction.encode(config)]
    starts = [program_words(config, steps[:i]) for i in range(len(steps))]
    return Program(tuple(steps), tuple(words), tuple(starts), waits(config, steps))


def _stream(planned: Plan) -> Program | None:
    if not planned.stream:
        return None
    config = planned.schedule.config
    program = _program(planned.stream, config)
    return dataclasses.replace(program, interval_cycles=interval_cycles(config, planned.stream))


def _layouts(schedule: Schedule) -> dict[str, TensorLayout]:
    """Per stored tensor; of a tiled network each band's, and that of the image, which bands of
    rows are loaded of."""
    found = {name: _tensor_layout(schedule, name) for name in schedule.storage.views}
    if not schedule.moves:
        return found
    image, bands = schedule.network.input, []
    for own, (tensor, rows) in schedule.moves.rows.items():
        found[own] = dataclasses.replace(found[own], whole=tensor, rows=(rows.start, rows.stop))
        if tensor == image:
            bands.append((rows.start, rows.stop))
            shape = schedule.network.tensors[image].shape
            found[image] = dataclasses.replace(
                found[own], name=image, shape=shape, whole=None, rows=None, bands=tuple(bands)
            )
    return found


def _tensor_layout(schedule: Schedule, tensor: str) -> TensorLayout:
    spec, location = schedule.network.tensors[tensor], schedule.location_of(tensor)
    slots, config = location.view.slots, schedule.config
    return TensorLayout(
        name=tensor,
        shape=spec.shape,
        bits=spec.bits,
        zero_point=spec.zero_point,
        scale=spec.scale,
        activation_bits=config.activation_bits,
        pixel_words=location.pixel_words,
        beats_per_word=word_beats(config, slots.used_lanes),
        base=location.base,
        strip_rows=location.strip_rows,
        strips=location.strips,
        last_rows=location.last_rows,
        channel_groups=tuple(location.view.offset + slots.word(c) for c in range(slots.channels)),
        channel_lanes=tuple(slots.lane(c) for c in range(slots.channels)),
        window=schedule.window if schedule.is_image(tensor) else None,
    )


def _logits_layout(schedule: Schedule) -> LogitsLayout:
    network = schedule.network
    spec = network.tensors[network.layers[-1].output]
    beats = schedule.result_words * schedule.config.post_units
    return LogitsLayout(spec.name, network.classes, beats, spec.scale)
