"""Bus models at the NPU's ports in simulation: an AXI4 memory, and random stalls on every channel.

cocotbext-axi's own pause generators wake Python in every clock cycle of the simulation. Here a
channel is paused and released only while it has something to transfer, which costs nothing while
it is idle.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from sim.folder import Words

BASE = 0x1000_0000
"""Byte address of the memory model, which the bench writes to MEMORY_BASE."""
OKAY, DECERR = 0, 3
"""AXI response codes: success, no memory at this address."""
PAGE_BYTES = 4096
"""Size in bytes of the aligned pages whose boundaries no AXI burst may cross."""
LONG_PAUSE_CYCLES = (20, 60)
"""Shortest and longest duration of a long pause, both included."""
LONG_PAUSE_CHANCE = 1 / 400
"""Probability per cycle, outside of long pauses, that a long pause begins."""


def pauses(rng: random.Random, rate: float) -> Iterator[bool]:
    """Yield for each cycle, without end, True if it is to pause, False if not.

    It pauses with probability ``rate``, and in rare long pauses.
    """
    while True:
        if rng.random() < LONG_PAUSE_CHANCE:
            yield from [True] * rng.randint(*LONG_PAUSE_CYCLES)
        yield rng.random() < rate


def stall_source(source: Any, clock: Any, pauses: Iterator[bool]) -> None:
    """Start a coroutine that holds VALID of ``source`` back as ``pauses`` says.

    It takes a value of ``pauses`` in each cycle of ``clock`` in which ``source`` has something to
    send.
    """

    async def run() -> None:
        edge = RisingEdge(clock)
        while True:
            if source.idle():
                await source.active_event.wait()
            source.pause = next(pauses)
            await edge

    cocotb.start_soon(run())


def stall_sink(sink: Any, valid: Any, clock: Any, pauses: Iterator[bool]) -> None:
    """Start a coroutine that holds READY of ``sink`` back as ``pauses`` says.

    It takes a value of ``pauses`` in each cycle in which the signal ``valid`` is high. The last
    state stays until the next transfer, so that READY comes before VALID in some transfers and
    after it in others.
    """

    async def run() -> None:
        edge, begin = RisingEdge(clock), RisingEdge(valid)
        while True:
            if not valid.value:
                await begin
            sink.pause = next(pauses)
            await edge

    cocotb.start_soon(run())


class Memory:
    """Model of the memory behind the NPU's AXI4 port, with a fixed latency.

    words: its content, uint32, from byte address BASE on; copied. Reads are answered in order: the
    first beat of a burst comes ``latency_cycles`` (>= 1) after its address was accepted, or behind
    the burst before, the others follow without a gap. Writes take one beat per cycle; the response
    comes ``latency_cycles`` after the last beat of a burst; BREADY must be 1. ``pauses`` holds back
    addresses, beats and responses. Beats outside ``words`` get DECERR. A burst that ``check``
    refuses, a read of another beat size, or a misplaced WLAST raises AssertionError.
    """

    def __init__(
        self, dut: Any, words: Words, port_bits: int, latency_cycles: int, pauses: Iterator[bool]
    ) -> None:
        self.dut, self.latency_cycles, self.pauses = dut, latency_cycles, pauses
        self.beat_bytes = port_bits // 8
        self.data = bytearray(np.asarray(words, "<u4").tobytes())
        self.writes = Writes(self) if hasattr(dut, "m_axi_awvalid") else None
        self.beats: deque[tuple[int, int, bool]] = deque()
        """Read beats to send: (earliest cycle, byte offset from BASE, last of its burst).

        Cycles are those that ``_run`` counts; 0 for as soon as the beat before is sent.
        """
        dut.m_axi_rvalid.value = 0
        self.be_ready()

    def start(self) -> None:
        """Start the coroutines that serve the port's read channels and, if any, write channels."""
        cocotb.start_soon(self._run())
        if self.writes:
            cocotb.start_soon(self.writes.run())

    def be_ready(self) -> None:
        """Make the model accept addresses and data at once, ending pauses that still hold."""
        self.ready = True
        self.dut.m_axi_arready.value = 1
        if self.writes:
            self.writes.be_ready()

    async def _run(self) -> None:
        dut, edge, cycle = self.dut, RisingEdge(self.dut.aclk), 0
        valid = False
        while True:
            if not (self.beats or valid or dut.m_axi_arvalid.value):
                await RisingEdge(dut.m_axi_arvalid)
            await edge
            cycle += 1
            if self.ready and dut.m_axi_arvalid.value and dut.aresetn.value:
                self._take(cycle)
            waits = valid and not dut.m_axi_rready.value
            if valid and not waits:
                self.beats.popleft()
            if not dut.aresetn.value:
                self.beats.clear()
                waits = False
            self.ready = not next(self.pauses)
            due = bool(self.beats) and self.beats[0][0] <= cycle + 1
            valid = waits or (due and not next(self.pauses))
            dut.m_axi_arready.value = self.ready
            dut.m_axi_rvalid.value = valid
            if valid:
                self._drive(*self.beats[0][1:])

    def _take(self, cycle: int) -> None:
        address, beats = int(self.dut.m_axi_araddr.value), int(self.dut.m_axi_arlen.value) + 1
        self.check(address, beats)
        assert 1 << int(self.dut.m_axi_arsize.value) == self.beat_bytes
        for k in range(beats):
            due = cycle + self.latency_cycles if k == 0 else 0
            self.beats.append((due, address - BASE + k * self.beat_bytes, k == beats - 1))

    def check(self, address: int, beats: int) -> None:
        """Assert that a burst is aligned to the size of a beat and crosses no 4 KiB boundary.

        address: in bytes; beats: their number.
        """
        assert address % self.beat_bytes == 0, f"burst at {address:#x} not aligned"
        end = address + beats * self.beat_bytes - 1
        assert address // PAGE_BYTES == end // PAGE_BYTES, f"burst at {address:#x} crosses 4 KiB"

    def inside(self, offset: int) -> bool:
        """Return True if the whole beat at this byte offset from BASE lies within the memory."""
        return 0 <= offset <= len(self.data) - self.beat_bytes

    def _drive(self, offset: int, last: bool) -> None:
        inside = self.inside(offset)
        found = self.data[offset : offset + self.beat_bytes] if inside else b""
        self.dut.m_axi_rdata.value = int.from_bytes(found, "little")
        self.dut.m_axi_rresp.value = OKAY if inside else DECERR
        self.dut.m_axi_rlast.value = last


class Writes:
    """Write channels (AW, W, B) of a Memory; beats outside it are dropped, WSTRB is ignored.

    A burst's response depends on its last beat only: OKAY inside the memory, DECERR outside.
    """

    def __init__(self, memory: Memory) -> None:
        self.memory, self.dut = memory, memory.dut
        self.beats: deque[tuple[int, bool]] = deque()
        """Beats expected by accepted addresses: (byte offset from BASE, last of its burst)."""
        self.data: deque[tuple[int, bool]] = deque()
        """Received beats that wait for their address: (WDATA, WLAST)."""
        self.answers: deque[tuple[int, int]] = deque()
        """Responses to send: (earliest cycle as ``run`` counts them, BRESP)."""
        self.dut.m_axi_bvalid.value = 0

    def be_ready(self) -> None:
        """Make the model accept address and data at once, ending a pause that still holds."""
        self.address_ready = self.data_ready = True
        self.dut.m_axi_awready.value = self.dut.m_axi_wready.value = 1

    async def run(self) -> None:
        """Serve the write channels for ever."""
        dut, edge, cycle = self.dut, RisingEdge(self.dut.aclk), 0
        valid, pauses = False, self.memory.pauses
        while True:
            idle = not (self.answers or self.beats or valid or dut.m_axi_awvalid.value)
            if idle and not dut.m_axi_wvalid.value:
                await RisingEdge(dut.m_axi_awvalid)
            await edge
            cycle += 1
            if dut.aresetn.value:
                self._take(cycle)
            if valid:
                self.answers.popleft()
            if not dut.aresetn.value:
                for waiting in (self.beats, self.data, self.answers):
                    waiting.clear()
            self.address_ready, self.data_ready = not next(pauses), not next(pauses)
            due = bool(self.answers) and self.answers[0][0] <= cycle + 1
            valid = due and not next(pauses)
            dut.m_axi_awready.value = self.address_ready
            dut.m_axi_wready.value = self.data_ready
            dut.m_axi_bvalid.value = valid
            if valid:
                dut.m_axi_bresp.value = self.answers[0][1]

    def _take(self, cycle: int) -> None:
        dut, memory = self.dut, self.memory
        if self.address_ready and dut.m_axi_awvalid.value:
            address, beats = int(dut.m_axi_awaddr.value), int(dut.m_axi_awlen.value) + 1
            memory.check(address, beats)
            self.beats += [
                (address - BASE + k * memory.beat_bytes, k == beats - 1) for k in range(beats)
            ]
        if self.data_ready and dut.m_axi_wvalid.value:
            self.data.append((int(dut.m_axi_wdata.value), bool(dut.m_axi_wlast.value)))
        while self.beats and self.data:
            (offset, ends), (data, last) = self.beats.popleft(), self.data.popleft()
            assert ends == last, f"WLAST of the beat at {offset:#x}"
            inside = memory.inside(offset)
            if inside:
                beat = data.to_bytes(memory.beat_bytes, "little")
                memory.data[offset : offset + memory.beat_bytes] = beat
            if last:
                response = OKAY if inside else DECERR
                self.answers.append((cycle + memory.latency_cycles, response))
