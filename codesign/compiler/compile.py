"""Compilation of a trained integer network to everything that the NPU is loaded with.

``compile_network`` runs the passes in order: feasibility checks, mapping and schedule without the
work that zero weights make unnecessary (``plan``), memory images, and up to three programs:
``normal`` for one image, ``traced`` with STOREs of all tensors but the logits, ``stream`` for many
images.
"""

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
from codesign.compiler.plan import plan
from codesign.compiler.planned import Plan
from codesign.compiler.program.channels import channel_image
from codesign.compiler.program.instructions import (
    ProgramStep,
    program_words,
    traced_steps,
)
from codesign.compiler.program.layout import (
    LAYOUT_FORMAT,
    LogitsLayout,
    TensorLayout,
    word_beats,
)
from codesign.compiler.program.memory import LATENCY_CYCLES, memory_image, waits
from codesign.compiler.program.stream import interval_cycles
from codesign.compiler.program.weights import weight_image
from codesign.results import InfeasibleError
from models.integer.network import IntegerNetwork
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.encoding import BUS_WORDS


@dataclass(frozen=True)
class Program:
    """Instructions of one program, their encoding and their cycles. Made by ``compile_network``."""

    steps: tuple[ProgramStep, ...]
    words: tuple[int, ...]
    """Encoded program as 32-bit bus words, the low half of each 64-bit program word first."""
    starts: tuple[int, ...]
    """Address of each step's opcode, in 64-bit words of program memory."""
    waits: tuple[int, ...]
    """Stall cycles of each step in a run of one image: waits for the memory port (memory.waits)."""
    interval_cycles: int | None = None
    """Cycles that each further image of a run adds, without stalls; None without a REPEAT."""

    @property
    def cycles(self) -> int:
        """Cycles of a run of one image, stalls not counted."""
        return self.log[-1]

    @property
    def log(self) -> tuple[int, ...]:
        """Cycle log of a run of one image: CYCLES at the end of each instruction, stalls left out.

        One entry per step.
        """
        cycles = [step.cycles for step in self.steps]
        return tuple(accumulate(cycles, initial=timing.START_CYCLES))[1:]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the program, as in program.json.

        Keys: "words" (their number, of 64 bits each), "cycles", "interval_cycles", and
        "instructions", a list of {"index", "opcode", "name", "tensor", "word" (address of the
        opcode), "cycles", "wait_cycles", "log", "fields"}.
        """
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
    """A network compiled for one NPU configuration: programs, memory images, stream layouts.

    >>> from pathlib import Path
    >>> from codesign.design import load
    >>> from models.integer.lower import shape_only
    >>> design = load(Path("examples/digits_tiny.yaml"))
    >>> network = shape_only(design.network, design.quantisation, design.npu.scale_bits)
    >>> [step.name for step in compile_network(network, design.npu).program.steps]
    ['load image', 'conv1', 'conv2', 'logits', 'emit logits', 'end']
    """

    name: str
    config: NpuConfig
    plan: Plan
    program: Program
    """Program for one image: LOAD, LAYERs, EMIT, END, with FETCH, FILL and SPILL where needed."""
    traced: Program
    """The same program with a STORE of every layer's output but the logits, for verification."""
    stream: Program | None
    """Program for images back to back; None if activation memory lacks room for the next image."""
    weights: NDArray[np.uint32]
    """Image of weight memory, (words, weight_word_columns); no words if weights are fetched."""
    memory: NDArray[np.uint32]
    """Image of external memory, (words,): all weights if they are fetched, else none; behind them
    room for the feature maps of a tiled network."""
    channels: NDArray[np.uint32]
    """Image of the channel table (bias, multiplier, shift; or thresholds), (words, columns)."""
    input: str
    """Name of the input tensor."""
    layouts: dict[str, TensorLayout]
    """Stream layout of each stored tensor by its name, concat results included; of a tiled network
    those of all bands' tensors, and of the whole input image."""
    logits: LogitsLayout
    integer: IntegerNetwork
    """The network that was compiled: what the programs compute."""

    def to_dict(self) -> dict[str, Any]:
        """Return the compiler's part of program.json (docs/reference/build-folder.md).

        Keys: "format" (LAYOUT_FORMAT), "network" and "input" (names), "output" (logits layout),
        "memory" ({"words" of 32 bits, "latency_cycles"}), "tensors" (layouts by tensor), "programs"
        (by name).
        """
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
        """Programs by their names in program.json: normal, traced and, if there is one, stream."""
        programs = {"normal": self.program, "traced": self.traced}
        return programs | ({"stream": self.stream} if self.stream else {})


def compile_network(network: IntegerNetwork, config: NpuConfig) -> CompiledNetwork:
    """Compile ``network`` into the programs and memory images with which the NPU computes it.

    The programs take the cycles that ``plan(network, config)`` says. Raises InfeasibleError with
    every reason found, before any image is made.
    """
    unfit = (*accumulator_reasons(network, config), *sparsity_reasons(network, config))
    try:
        planned = plan(network, config)
    except InfeasibleError as error:
        raise InfeasibleError((*error.reasons, *unfit)) from None
    if unfit:
        raise InfeasibleError(unfit)
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
        integer=network,
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
    """Return the layout of every stored tensor by its name.

    In a tiled network the stored tensors are bands, whose layouts say of which tensor (``whole``)
    they hold which rows; the whole input image is added under its own name, with the rows that each
    LOAD takes (``bands``).
    """
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
        scale=spec.step,
        activation_bits=config.activation_bits,
        pixel_words=location.pixel_words,
        beats_per_word=word_beats(config, slots.used_lanes),
        base=location.base,
        strip_rows=location.strip_rows,
        strips=location.strips,
        last_rows=location.last_rows,
        channel_groups=tuple(location.view.offset + slots.word(c) for c in range(slots.channels)),
        channel_lanes=tuple(slots.lane(c) for c in range(slots.channels)),
        digit_words=slots.words if config.activation_digits(spec.bits) > 1 else None,
        window=schedule.window if schedule.is_image(tensor) else None,
    )


def _logits_layout(schedule: Schedule) -> LogitsLayout:
    network = schedule.network
    spec = network.tensors[network.layers[-1].output]
    beats = schedule.result_words * schedule.config.post_units
    (channels,) = (
        tile.channels
        for tile, shape in zip(schedule.tiles, schedule.shapes, strict=True)
        if shape.layer.raw
    )
    order = None if network.order is None else tuple(network.order.tolist())
    ends = order, network.parts, network.offset
    return LogitsLayout(spec.name, spec.shape, channels, beats, spec.scale, *ends)
