"""Random stalls on any channel of the bus models, at no cost while a channel is idle.

cocotbext-axi's own pause generators wake Python in every clock cycle of the simulation; here a
channel is paused and released only while it has something to carry.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

LONG_PAUSE_CYCLES = (20, 60)
LONG_PAUSE_CHANCE = 1 / 400


def pauses(rng: random.Random, rate: float) -> Iterator[bool]:
    """Per cycle: pause? True in a share ``rate`` of the cycles, and now and then for long."""
    while True:
        if rng.random() < LONG_PAUSE_CHANCE:
            yield from [True] * rng.randint(*LONG_PAUSE_CYCLES)
        yield rng.random() < rate


def stall_source(source: Any, clock: Any, pauses: Iterator[bool]) -> None:
    """Hold VALID back in the cycles of ``pauses`` in which ``source`` has something to send."""

    async def run() -> None:
        edge = RisingEdge(clock)
        while True:
            if source.idle():
                await source.active_event.wait()
            source.pause = next(pauses)
            await edge

    cocotb.start_soon(run())


def stall_sink(sink: Any, valid: Any, clock: Any, pauses: Iterator[bool]) -> None:
    """Hold READY back in the cycles of ``pauses`` in which ``valid`` is high. The state it was left
    in meets the next transfer, so READY comes before VALID as well as after."""

    async def run() -> None:
        edge, begin = RisingEdge(clock), RisingEdge(valid)
        while True:
            if not valid.value:
                await begin
            sink.pause = next(pauses)
            await edge

    cocotb.start_soon(run())
