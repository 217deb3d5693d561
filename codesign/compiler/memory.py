"""Waiting for memory: what a program's FETCHes cost, and the image of what they read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.instructions import Step
from codesign.compiler.parts import Part
from rtl_gen import isa, timing
from rtl_gen.config import STREAM_BITS, NpuConfig
from rtl_gen.isa import Opcode

LATENCY_CYCLES = 40
"""From the cycle in which memory takes an address to the first beat of its burst; a beat in every
cycle from there on. For a DDR3 controller behind an interconnect, at 100 MHz."""


def waits(config: NpuConfig, steps: Sequence[Step]) -> tuple[int, ...]:
    """STALLS of each step, exactly, with a memory of LATENCY_CYCLES and hosts that are never late.

    A FETCH waits for the one before it. One that is not over when the program ends is not waited
    for.
    """
    now, free = timing.START_CYCLES, 0
    found = []
    for step in steps:
        wait = 0
        if step.instruction.opcode is Opcode.FETCH:
            asks = now + timing.issue_cycles(config, Opcode.FETCH) - 2  # in START, FINISH follows
            wait = max(0, free - asks)
            if step.values["bursts"]:
                free = asks + wait + timing.fetch_cycles(step.values["bursts"], LATENCY_CYCLES)
        now += step.cycles + wait
        found.append(wait)
    return tuple(found)


def memory_image(
    config: NpuConfig, cut: Sequence[Part], weights: NDArray[np.uint32], beats: int
) -> NDArray[np.uint32]:
    """uint32 [words]: the parts' weights as FETCH reads them, none where all are on chip; behind
    them room for activations, up to ``beats`` of the port.

    weights: uint32 [all words of the network, weight_word_columns], layer after layer.
    """
    room = np.zeros(beats * config.memory_port_bits // STREAM_BITS, np.uint32)
    if not any(part.bursts for part in cut):
        return room
    per_word = config.fetched_word_beats * config.memory_port_bits // STREAM_BITS
    images, position = [], 0
    for part in cut:
        rows = weights[position : position + part.weight_words]
        position += part.weight_words
        image = np.zeros(part.bursts * isa.burst_words(config), np.uint32)
        padded = np.pad(rows, ((0, 0), (0, per_word - rows.shape[1])))
        image[: padded.size] = padded.reshape(-1)
        images.append(image)
    image = np.concatenate(images)
    return np.concatenate([image, room[image.size :]])
