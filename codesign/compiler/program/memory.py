"""Stall cycles of the memory port, and the image of external memory.

FETCH (weights in), FILL (feature-map rows in) and SPILL (rows out) are asynchronous DMA transfers:
they run beside the instructions that follow. They stall a run only if one is issued while another
of its direction is still under way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.mapping.parts import Part
from codesign.compiler.program.instructions import ProgramStep
from codesign.compiler.program.port import Port
from rtl_gen import timing
from rtl_gen.config import NpuConfig
from rtl_gen.isa.bursts import burst_words
from rtl_gen.isa.opcodes import MOVES, Opcode
from rtl_gen.parameters import STREAM_BITS

LATENCY_CYCLES = 40
"""Cycles from the one in which memory takes an address to the first beat of its burst; then a beat
comes in every cycle. This is the value for a DDR3 controller behind an interconnect, at 100 MHz."""


def waits(config: NpuConfig, steps: Sequence[ProgramStep]) -> tuple[int, ...]:
    """Return the exact stall cycles of each step of a program, for a memory of LATENCY_CYCLES.

    steps: all steps from the start of the run on. The host is assumed never to be late. A FETCH or
    FILL waits for the FETCH or FILL before it, a SPILL for the SPILL before it, all other steps for
    none. The program's end waits for no transfer.
    """
    now, port = timing.START_CYCLES, Port(config, LATENCY_CYCLES)
    found = []
    for step in steps:
        instruction, wait = step.instruction, 0
        opcode = instruction.opcode
        start = now + timing.issue_cycles(config, opcode) - 2  # FINISH follows
        if opcode in MOVES:
            wait = max(0, port.free(opcode) - start)
            if step.values["bursts"]:
                port.move(instruction, start + wait)
        elif opcode is Opcode.LAYER:
            port.layer(instruction, now)
        elif opcode is Opcode.LOAD:
            port.load(instruction, start)
        now += step.cycles + wait
        found.append(wait)
    return tuple(found)


def memory_image(
    config: NpuConfig, stored_parts: Sequence[Part], weights: NDArray[np.uint32], beats: int
) -> NDArray[np.uint32]:
    """Return the image of external memory, uint32 of shape (words,).

    stored_parts: the parts whose weights are stored (``parts.stored``); each takes whole bursts,
    filled up with zeros, as FETCH reads them. If FETCH reads none, the image holds no weights.
    Zeros follow until the image has ``beats`` beats of the port in all, as room for feature maps;
    an image that is as long already is not cut. weights: uint32 of shape (weight words,
    weight_word_columns), part after part.
    """
    room = np.zeros(beats * config.memory_port_bits // STREAM_BITS, np.uint32)
    if not any(part.bursts for part in stored_parts):
        return room
    per_word = config.fetched_word_beats * config.memory_port_bits // STREAM_BITS
    images, position = [], 0
    for part in stored_parts:
        rows = weights[position : position + part.weight_words]
        position += part.weight_words
        image = np.zeros(part.bursts * burst_words(config), np.uint32)
        padded = np.pad(rows, ((0, 0), (0, per_word - rows.shape[1])))
        image[: padded.size] = padded.reshape(-1)
        images.append(image)
    image = np.concatenate(images)
    return np.concatenate([image, room[image.size :]])
