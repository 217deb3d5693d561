"""Control of the simulated NPU over AXI: clock and reset, registers, memories and runs."""

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
"""Clock period in simulated ns."""
BUS_TIMEOUT_CYCLES = 2000
"""Time limit on an AXI4-Lite access per word, which takes a few cycles without stalls."""

RESET_READS = 100
"""STATUS reads after a soft reset, by the last of which the pipelines must be empty."""

START, SOFT_RESET, IRQ_ENABLE = 1, 2, 4
"""Masks of bits of the CONTROL register."""
BUSY, DISCARDING = 1, 8
"""Masks of bits of the STATUS register."""


class Hang(Exception):
    """The NPU did not answer within a time limit."""


@dataclass(frozen=True)
class RunResult:
    """Outcome of one run. Made by ``SimulatedNpu.finish``."""

    frames: list[Words]
    """Beats, uint32, of every complete output packet (ended by TLAST) in the order of arrival."""
    error: int
    """Number of the ErrorCode with which the run stopped, 0 if it ended well."""
    error_instruction: int
    """Index of the instruction that stopped the run; 0 if there was no error."""
    cycles: int
    """Register CYCLES: cycles of the run that are not in STALLS."""
    stalls: int
    """Register STALLS: cycles in which the run waited for a stream or memory."""
    log: list[int]
    """Cycle log, all entries by number, also those that this run did not write."""


class SimulatedNpu:
    """NPU under test with bus models on its ports; ``start_up`` must be awaited first.

    dut: cocotb's handle of the top module. rng: source of all random choices. stalls: fraction of
    cycles in which each bus channel is held back at random, besides rare long pauses; 0 for
    neither. In all methods "Raises Hang" means: if the NPU does not answer within the time limit.
    """

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
        """Start the clock, the bus models and the random stalls, and reset the NPU."""
        Clock(self.dut.aclk, CLOCK_NS, unit="ns").start()
        if self.stalls:
            self._stall_all()
        if self.memory:
            self.memory.start()
        await self.reset()

    def _stall_all(self) -> None:
        """Start random stalls on all channels of the AXI4-Lite and AXI4-Stream ports."""
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
        """Switch the random stalls on (True) or off, from the next cycle on.

        On is the state after ``start_up``; with ``stalls`` 0 there are none in either case.
        """
        self._stalling = stalling
        if not stalling:  # end pauses that still hold
            self.source.pause = self.sink.pause = False
            if self.memory:
                self.memory.be_ready()

    def _pauses(self) -> Iterator[bool]:
        if not self.stalls:
            return itertools.repeat(False)
        return (pause and self._stalling for pause in pauses(self.rng, self.stalls))

    async def reset(self) -> None:
        """Pulse aresetn for 4 cycles and wait 2 more.

        Transfers in progress on any bus, queued input and received output are lost.
        """
        self.dut.aresetn.value = 0
        await self.clocks(4)
        self.dut.aresetn.value = 1
        await self.clocks(2)
        self.drop_streams()

    async def clocks(self, count: int) -> None:
        """Wait until ``count`` further rising edges of the clock have come."""
        await ClockCycles(self.dut.aclk, count)

    # Registers and memories ------------------------------------------------------------------

    async def write(self, address: int, words: Sequence[int]) -> None:
        """Write consecutive 32-bit words from a byte address on. Raises Hang.

        The bus's response is not looked at, so a refused write passes.
        """
        data = np.asarray(words, "<u4").tobytes()
        await self._in_time(self.bus.write(address, data), BUS_TIMEOUT_CYCLES * len(words))

    async def read(self, address: int, count: int) -> list[int]:
        """Read ``count`` consecutive 32-bit words from a byte address on. Raises Hang.

        The bus's response is not looked at; a refused read gives whatever data came.
        """
        access = self.bus.read(address, 4 * count)
        done = await self._in_time(access, BUS_TIMEOUT_CYCLES * count)
        return [int(word) for word in np.frombuffer(bytes(done.data), "<u4")]

    async def write_register(self, name: str, value: int) -> None:
        """Write a 32-bit value to a register, by its name such as CONTROL. Raises Hang."""
        await self.write(self.registers[name], [value])

    async def read_register(self, name: str) -> int:
        """Return the 32-bit value of a register, by its name such as STATUS. Raises Hang."""
        return (await self.read(self.registers[name], 1))[0]

    async def load_program(self, words: Sequence[int]) -> None:
        """Write 32-bit bus words to program memory, from its first word on. Raises Hang."""
        await self.write(self.hardware["program"]["base"], words)

    async def load_memories(self, weights: Words, channels: Words) -> None:
        """Write weight memory and channel table from their first words on. Raises Hang.

        weights, channels: uint32 (n_words, bus words per word); 0 words are left out. If the NPU
        has a memory port, MEMORY_BASE is set to the memory model, too.
        """
        for name, image in (("weights", weights), ("channels", channels)):
            place = self.hardware[name]
            padded = np.zeros((len(image), place["pitch"]), np.uint32)
            padded[:, : image.shape[1]] = image
            if not len(image):  # the NPU fetches its weights
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
        """Queue an input packet, uint32 (n_beats,), and return; its last beat carries TLAST."""
        self.source.send_nowait(np.asarray(beats, "<u4").tobytes())

    async def start(self) -> None:
        """Start a run, with the interrupt enabled, and return when it has begun. Raises Hang."""
        await self.write_register("CONTROL", START | IRQ_ENABLE)

    async def finish(self, timeout_cycles: int) -> RunResult:
        """Wait for the interrupt at the end of the run, good or not, and return what came of it.

        Output packets that are complete then are taken from the sink. Raises Hang if the interrupt
        does not come within ``timeout_cycles``.
        """
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
        """Run one inference; its input is queued at random before or after the start.

        packets: input beats of the image, packet by packet. The program must be loaded. Raises Hang
        if the run has not ended ``timeout_cycles`` after start and input.
        """
        early = self.rng.random() < 0.5
        if not early:
            await self.start()
        for beats in packets:
            self.send(beats)
        if early:
            await self.start()
        return await self.finish(timeout_cycles)

    async def stream(self, images: Sequence[Words], timeout_cycles: int) -> RunResult:
        """Run images back to back; the stream program must be loaded. Raises Hang.

        images: input beats of each, one packet an image, queued before the start. Register IMAGES
        is 1 again at the end, but not after Hang.
        """
        for beats in images:
            self.send(beats)
        await self.write_register("IMAGES", len(images))
        await self.start()
        result = await self.finish(timeout_cycles)
        await self.write_register("IMAGES", 1)
        return result

    async def recover(self) -> None:
        """Soft-reset the NPU, dropping queued input and received output, and wait until it is idle.

        Raises Hang, also if it is still busy after RESET_READS reads of STATUS.
        """
        self.drop_streams()
        await self.write_register("CONTROL", SOFT_RESET)
        for _ in range(RESET_READS):
            if not await self.read_register("STATUS") & BUSY:
                return
        raise Hang(f"still busy {RESET_READS} register reads after a soft reset")

    def drop_streams(self) -> None:
        """Drop the queued input, also of a packet under way, and output that was received."""
        for port in (self.source, self.sink):
            port.clear()
            port.assert_reset()

    async def _in_time(self, awaitable: Any, cycles: int) -> Any:
        """Await ``awaitable`` and return its result. Raises Hang if it takes over ``cycles``."""
        try:
            return await with_timeout(awaitable, cycles * CLOCK_NS, "ns")
        except SimTimeoutError:
            raise Hang(f"no answer within {cycles} cycles") from None
