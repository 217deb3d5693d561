"""The NPU as the bench handles it: clock and reset, registers, memories and runs, over AXI."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from sim.bus_models import BASE, Memory, pauses, stall_sink, stall_source
from sim.folder import BuildFolder, Words

CLOCK_NS = 10
BUS_TIMEOUT_CYCLES = 2000
"""For one AXI4-Lite access of one word; the slave answers within a few cycles."""

RESET_READS = 100
"""STATUS reads after a soft reset within which the pipelines must have run empty."""

START, SOFT_RESET, IRQ_ENABLE = 1, 2, 4
BUSY, DISCARDING = 1, 8


class Hang(Exception):
    """The NPU did not answer in time."""


@dataclass(frozen=True)
class RunResult:
    """What one run left behind."""

    frames: list[Words]
    """Beats of every output packet that ended with TLAST."""
    error: int
    error_instruction: int
    cycles: int
    stalls: int
    log: list[int]


class SimulatedNpu:
    """One NPU under test. ``start_up`` comes first."""

    def __init__(self, dut: Any, folder: BuildFolder, rng: random.Random, stalls: float) -> None:
        self.dut = dut
        self.hardware = folder.hardware
        self.registers: dict[str, int] = folder.hardware["registers"]
        self.rng = rng
        self.stalls = stalls
        self._stalling = True
        reset = {"reset": dut.aresetn, "reset_active_level": False}
        self.bus = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_control"), dut.aclk, **reset)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.aclk, **reset)
        self.memory = None
        port_bits = self.hardware["memory"]["port_bits"]
        if port_bits:
            latency = folder.memory_latency_cycles
            self.memory = Memory(dut, folder.memory, port_bits, latency, self._pauses())
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.aclk, **reset)

    async def start_up(self) -> None:
        """Start the clock and the stalls, and reset."""
        Clock(self.dut.aclk, CLOCK_NS, unit="ns").start()
        if self.stalls:
            self._stall_all()
        if self.memory:
            self.memory.start()
        await self.reset()

    def _stall_all(self) -> None:
        clock = self.dut.aclk
        write, read = self.bus.write_if, self.bus.read_if
        for source in (self.source, write.aw_channel, write.w_channel, read.ar_channel):
            stall_source(source, clock, self._pauses())
        for sink, valid in (
            (self.sink, self.dut.m_axis_tvalid),
            (write.b_channel, self.dut.s_axi_control_bvalid),
            (read.r_channel, self.dut.s_axi_control_rvalid),
        ):
            stall_sink(sink, valid, clock, self._pauses())

    def hold_back(self, stalling: bool) -> None:
        """Whether the random stalls hold the buses back from now on."""
        self._stalling = stalling
        if not stalling:  # what the last stall left behind
            self.source.pause = self.sink.pause = False
            if self.memory:
                self.memory.be_ready()

    def _pauses(self) -> Iterator[bool]:
        if not self.stalls:
            return itertools.repeat(False)
        return (pause and self._stalling for pause in pauses(self.rng, self.stalls))

    async def reset(self) -> None:
        """Pulse aresetn; what was under way on any bus is lost."""
        self.dut.aresetn.value = 0
        await self.clocks(4)
        self.dut.aresetn.value = 1
        await self.clocks(2)
        self.drop_streams()

    async def clocks(self, count: int) -> None:
        await ClockCycles(self.dut.aclk, count)

    # Registers and memories ------------------------------------------------------------------

    async def write(self, address: int, words: Sequence[int]) -> None:
        """Write consecutive 32-bit words. Raises Hang."""
        data = np.asarray(words, "<u4").tobytes()
        await self._in_time(self.bus.write(address, data), BUS_TIMEOUT_CYCLES * len(words))

    async def read(self, address: int, count: int) -> list[int]:
        """Read consecutive 32-bit words. Raises Hang."""
        access = self.bus.read(address, 4 * count)
        done = await self._in_time(access, BUS_TIMEOUT_CYCLES * count)
        return [int(word) for word in np.frombuffer(bytes(done.data), "<u4")]

    async def write_register(self, name: str, value: int) -> None:
        await self.write(self.registers[name], [value])

    async def read_register(self, name: str) -> int:
        return (await self.read(self.registers[name], 1))[0]

    async def load_program(self, words: Sequence[int]) -> None:
        await self.write(self.hardware["program"]["base"], words)

    async def load_memories(self, weights: Words, channels: Words) -> None:
        """Write the weight and the channel memory, from their first word on."""
        for name, image in (("weights", weights), ("channels", channels)):
            place = self.hardware[name]
            padded = np.zeros((len(image), place["pitch"]), np.uint32)
            padded[:, : image.shape[1]] = image
            if not len(image):  # weights that are fetched
                continue
            if place["pitch"] == image.shape[1]:
                await self.write(place["base"], padded.reshape(-1).tolist())
                continue
            for index, row in enumerate(image.tolist()):
                await self.write(place["base"] + 4 * place["pitch"] * index, row)
        if self.memory:
            await self.write_register("MEMORY_BASE", BASE)

    # Runs ------------------------------------------------------------------------------------

    def send(self, beats: Words) -> None:
        """Queue a packet; its last beat carries TLAST."""
        self.source.send_nowait(np.asarray(beats, "<u4").tobytes())

    async def start(self) -> None:
        await self.write_register("CONTROL", START | IRQ_ENABLE)

    async def finish(self, timeout_cycles: int) -> RunResult:
        """Wait for the interrupt and collect everything. Raises Hang."""
        if not self.dut.irq.value:
            await self._in_time(RisingEdge(self.dut.irq), timeout_cycles)
        await self.clocks(2)
        error = await self.read_register("ERROR")
        place = self.hardware["log"]
        frames = []
        while not self.sink.empty():
            frames.append(np.frombuffer(bytes(self.sink.recv_nowait().tdata), "<u4"))
        return RunResult(
            frames=frames,
            error=error & 0xFF,
            error_instruction=error >> 16,
            cycles=await self.read_register("CYCLES"),
            stalls=await self.read_register("STALLS"),
            log=await self.read(place["base"], place["entries"]),
        )

    async def infer(self, packets: Sequence[Words], timeout_cycles: int) -> RunResult:
        """One run; the input comes before the start as often as after it. Raises Hang."""
        early = self.rng.random() < 0.5
        if not early:
            await self.start()
        for beats in packets:
            self.send(beats)
        if early:
            await self.start()
        return await self.finish(timeout_cycles)

    async def stream(self, images: Sequence[Words], timeout_cycles: int) -> RunResult:
        """One run over ``images`` back to back, with the program for that. Raises Hang."""
        for beats in images:
            self.send(beats)
        await self.write_register("IMAGES", len(images))
        await self.start()
        result = await self.finish(timeout_cycles)
        await self.write_register("IMAGES", 1)
        return result

    async def recover(self) -> None:
        """Soft reset, with the rest of the input dropped by its sender. Raises Hang."""
        self.drop_streams()
        await self.write_register("CONTROL", SOFT_RESET)
        for _ in range(RESET_READS):
            if not await self.read_register("STATUS") & BUSY:
                return
        raise Hang(f"still busy {RESET_READS} register reads after a soft reset")

    def drop_streams(self) -> None:
        """Forget what is queued for the NPU and what came from it."""
        for port in (self.source, self.sink):
            port.clear()
            port.assert_reset()

    async def _in_time(self, awaitable: Any, cycles: int) -> Any:
        try:
            return await with_timeout(awaitable, cycles * CLOCK_NS, "ns")
        except SimTimeoutError:
            raise Hang(f"no answer within {cycles} cycles") from None
