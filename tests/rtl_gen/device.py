"""The NPU's RTL in Amaranth's simulator, with the interface of the behavioural model (twin).

For small differential tests; build folders are simulated in Verilator (sim).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from rtl_gen.config import NpuConfig
from rtl_gen.isa.opcodes import ErrorCode
from rtl_gen.isa.registers import LOG_BASE, PROGRAM_BASE, Register, channel_address, weight_address
from rtl_gen.npu import NpuTop
from rtl_gen.twin.transfers import Beat
from tests.rtl_gen.port_memory import PortMemory

TIMEOUT_CYCLES = 60_000
"""Reads of the STATUS register after which a run counts as hung."""


@dataclass
class DeviceResult:
    """Registers and output stream after a run."""

    output_beats: list[Beat] = field(default_factory=list)
    error: ErrorCode = ErrorCode.NONE
    error_instruction: int = 0
    cycle_log: list[int] = field(default_factory=list)
    stalls: int = 0
    memory: NDArray[np.uint32] | None = None
    """External memory after the run."""


class Device:
    """A simulated NPU: ``run`` loads its memories over the bus, starts it and waits for its end."""

    def __init__(self, config: NpuConfig, stall: float = 0.0, seed: int = 0) -> None:
        """``stall``: share of the cycles in which streams and memory port are held back."""
        self.config, self.stall = config, stall
        self.random = random.Random(seed)

    def run(
        self,
        program: Sequence[int],
        weights: NDArray,
        channels: NDArray,
        beats: Sequence[Beat],
        *,
        instructions: int,
        watchdog: int = 0,
        images: int = 1,
        memory: NDArray[np.uint32] | None = None,
    ) -> DeviceResult:
        """Simulate one run of ``images`` images.

        program: 32-bit words. weights, channels: memory images, a row of 32-bit words per memory
        word. beats: the input stream. instructions: number of cycle log entries to read back.
        memory: contents of the external memory behind the memory port.
        """
        self.dut = dut = NpuTop(self.config)
        self.result = DeviceResult()
        self.finished = False
        simulator = Simulator(dut)
        simulator.add_clock(1e-6)

        async def host(ctx):
            await self._load_memories(ctx, program, weights, channels)
            await self._write(ctx, Register.WATCHDOG, watchdog)
            await self._write(ctx, Register.IMAGES, images)
            assert await self._read(ctx, Register.IMAGES) == images
            await self._write(ctx, Register.CONTROL, 1)
            for _ in range(TIMEOUT_CYCLES):
                await ctx.tick()
                if not await self._read(ctx, Register.STATUS) & 1:
                    break
            else:
                raise AssertionError("the NPU hangs")
            error = await self._read(ctx, Register.ERROR)
            self.result.error = ErrorCode(error & 0xFF)
            self.result.error_instruction = error >> 16
            self.result.stalls = await self._read(ctx, Register.STALLS)
            for k in range(instructions):
                self.result.cycle_log.append(await self._read(ctx, LOG_BASE + 4 * k))
            self.finished = True

        simulator.add_testbench(host)
        simulator.add_testbench(self._drive_input(list(beats)), background=True)
        simulator.add_testbench(self._collect_output(), background=True)
        if memory is not None:
            port = PortMemory(self.config, memory, self.stall, self.random)
            self.result.memory = port.words
            simulator.add_testbench(port.process(dut), background=True)
        simulator.run()
        assert self.finished
        return self.result

    async def _write(self, ctx, address: int, value: int) -> None:
        d = self.dut
        for signal, v in (
            ("awaddr", address),
            ("wdata", value),
            ("wstrb", 15),
            ("awvalid", 1),
            ("wvalid", 1),
        ):
            ctx.set(getattr(d, f"s_axi_control_{signal}"), v)
        await ctx.tick()
        ctx.set(d.s_axi_control_awvalid, 0)
        ctx.set(d.s_axi_control_wvalid, 0)
        ctx.set(d.s_axi_control_bready, 1)
        await ctx.tick().until(d.s_axi_control_bvalid)
        assert ctx.get(d.s_axi_control_bresp) == 0, hex(address)

    async def _read(self, ctx, address: int) -> int:
        d = self.dut
        ctx.set(d.s_axi_control_araddr, address)
        ctx.set(d.s_axi_control_arvalid, 1)
        await ctx.tick()
        ctx.set(d.s_axi_control_arvalid, 0)
        ctx.set(d.s_axi_control_rready, 1)
        value, response = (
            await ctx.tick()
            .sample(d.s_axi_control_rdata, d.s_axi_control_rresp)
            .until(d.s_axi_control_rvalid)
        )
        assert response == 0, hex(address)
        return value

    async def _load_memories(self, ctx, program, weights, channels) -> None:
        for k, word in enumerate(program):
            await self._write(ctx, PROGRAM_BASE + 4 * k, int(word))
        for k, row in enumerate(weights):
            for column, word in enumerate(row):
                await self._write(ctx, weight_address(self.config, k, column), int(word))
        for k, row in enumerate(channels):
            for column, word in enumerate(row):
                await self._write(ctx, channel_address(self.config, k, column), int(word))

    def _drive_input(self, beats: list[Beat]):
        d = self.dut

        async def feed(ctx):
            for data, last in beats:
                while self.random.random() < self.stall:
                    await ctx.tick()
                ctx.set(d.s_axis_tdata, data)
                ctx.set(d.s_axis_tlast, last)
                ctx.set(d.s_axis_tvalid, 1)
                await ctx.tick().until(d.s_axis_tready)
                ctx.set(d.s_axis_tvalid, 0)
            await ctx.tick()

        return feed

    def _collect_output(self):
        d = self.dut

        async def take(ctx):
            while True:
                ctx.set(d.m_axis_tready, self.random.random() >= self.stall)
                _, _, valid, ready, data, last = await ctx.tick().sample(
                    d.m_axis_tvalid, d.m_axis_tready, d.m_axis_tdata, d.m_axis_tlast
                )
                if valid and ready:
                    self.result.output_beats.append((data, bool(last)))

        return take
